import Coordination
import Messages
import Observability

/// Proves from `ledger.jsonl` that every example of every step was applied exactly once, across
/// deaths, repetitions and resumes; or names what was not.
package struct LedgerAudit: Hashable, Sendable {
  /// Where the surviving lineage begins in this ledger: above 0 where it comes from another run.
  package private(set) var firstStep: UInt64 = 0
  /// Steps of the surviving lineage.
  package private(set) var steps: UInt64 = 0
  /// Examples in each step that was begun last, and in any of the lineage.
  package private(set) var globalBatch = 0
  package private(set) var globalBatches: [Int] = []
  package private(set) var trainingExamples: UInt64?
  package private(set) var datasetFingerprint: String?
  /// Servers that wrote the ledger.
  package private(set) var lives = 0
  /// Process lives of the workers that had shares.
  package private(set) var workers = 0
  /// Changes of who has which share.
  package private(set) var cuts = 0
  /// How often the run went back to earlier parameters, and the steps that were given up by that.
  package private(set) var goingsBack = 0
  package private(set) var discarded = 0
  /// Steps that everybody passed over, as their numbers were not finite.
  package private(set) var skipped: [UInt64] = []
  /// The run has ended, and why.
  package private(set) var ended: String?
  /// Everything that is wrong; empty is the proof.
  package private(set) var findings: [String] = []

  /// Examples of the surviving lineage, those of skipped steps included.
  package private(set) var examples: UInt64 = 0

  /// Reads a ledger.
  ///
  /// - Parameters:
  ///   - text: all of it.
  ///   - name: what findings call it.
  package init(_ text: String, name: String) {
    let lines = LedgerLine.read(text, name: name)
    guard case .success(let first)? = lines.first?.line, first.kind == .start else {
      findings = ["\(name) does not begin with the start of a server"]
      return
    }
    let starts = lines.compactMap { try? $0.line.get() }.filter { $0.kind == .start }
    let lineage = Self.lineage(of: starts)
    let root = lineage.min().map { starts[$0] } ?? first
    firstStep = root.step
    globalBatch = max(root.globalBatch ?? 0, 0)
    var audit = StepAudit(globalBatch: globalBatch, firstStep: firstStep)
    var reader = Reader(lineage: lineage)
    for (index, entry) in lines.enumerated() {
      switch entry.line {
      case .success(let line): take(line, entry.number, name, &reader, &audit)
      case .failure(let error):
        // A killed server may leave a torn line, after which the next one begins.
        let next = index + 1 < lines.count ? lines[index + 1].line : nil
        if case .success(let line)? = next, line.kind == .start { continue }
        findings.append("\(error)")
      }
    }
    findings += audit.findings().map { "\($0)" }
    steps = audit.steps
    examples = audit.examples
    globalBatches = audit.globalBatches
    discarded += audit.discarded
    skipped = audit.skipped.sorted()
    workers = reader.incarnations.count
  }

  /// The lives of servers that the last one's parameters come from, by their place among all.
  private static func lineage(of starts: [LedgerLine]) -> Set<Int> {
    var lineage: Set<Int> = []
    var next = starts.indices.last
    while let life = next, lineage.insert(life).inserted {
      let start = starts[life]
      if let from = start.from {
        next = starts[..<life].lastIndex { $0.run == from }
      } else {
        // A ledger of before that was written: from the life before, but for who begins anew.
        next = start.step > 0 && life > 0 ? life - 1 : nil
      }
    }
    return lineage
  }

  private struct Reader {
    let lineage: Set<Int>
    var isInLineage = false
    var hasBegun = false
    var shares: [NodeID: [Range<Int>]] = [:]
    var incarnations: Set<String> = []
    /// Whether the server that wrote last has done anything.
    var hasWorked = false
  }

  private mutating func take(
    _ line: LedgerLine, _ number: Int, _ name: String, _ reader: inout Reader,
    _ audit: inout StepAudit
  ) {
    let place = "\(name): line \(number)"
    if let shares = line.shares {
      cuts += 1
      reader.shares = [:]
      for share in shares {
        reader.incarnations.insert(share.incarnation)
        reader.shares[NodeID(share.node)] = share.rows.compactMap { pair in
          pair.count == 2 && pair[0] <= pair[1] ? pair[0]..<pair[1] : nil
        }
      }
    }
    if line.kind == .start {
      reader.isInLineage = reader.lineage.contains(lives)
      lives += 1
      ended = nil
      reader.shares = [:]
    }
    guard reader.isInLineage else {
      if line.kind == .step || line.kind == .skip { discarded += 1 }
      return
    }
    if let fingerprint = line.datasetFingerprint {
      if let known = datasetFingerprint, known != fingerprint {
        findings.append("\(place): data set \(fingerprint), before it was \(known)")
      }
      datasetFingerprint = fingerprint
      trainingExamples = line.trainingExamples
    }
    switch line.kind {
    case .start, .end: break
    default: reader.hasWorked = true
    }
    switch line.kind {
    case .start:
      reader.hasWorked = false
      globalBatch = max(line.globalBatch ?? globalBatch, 0)
      audit.globalBatch = globalBatch
      if reader.hasBegun { audit.take(.wentOn(afterSteps: line.step)) }
      reader.hasBegun = true
    case .step:
      audit.take(
        .committed(
          CommitRecord(
            turn: line.turn ?? 0, kind: .training(step: line.step), view: line.view ?? 0,
            shares: reader.shares)))
    case .skip: audit.take(.skipped(step: line.step))
    case .back:
      goingsBack += 1
      audit.take(.wentOn(afterSteps: line.step))
    case .end:
      ended = line.text ?? ""
      // A server of an earlier version that nobody had joined wrote 0 for a resumed run too.
      if line.step != audit.steps, line.step > 0 || reader.hasWorked {
        findings.append("\(place): the run ended after \(line.step) steps, \(audit.steps) are here")
      }
    case .evaluation, .recut: break
    }
  }
}
