package import Messages

/// One thing that a run's ledger says, in the order in which it happened.
package enum LedgerEntry: Hashable, Sendable {
  /// A turn was applied.
  case committed(CommitRecord)
  /// A step was passed over by everybody, its numbers not being finite.
  case skipped(step: UInt64)
  /// The run goes on from a checkpoint: what was applied after its steps no longer counts.
  case wentOn(afterSteps: UInt64)
}

/// Proves from a ledger that in the lineage that survives every row of every step's global batch
/// was applied exactly once, in order, or the whole step passed over; or names what was not.
///
/// Training steps count. An evaluation changes nothing, so one that is missing or repeated does not
/// concern the trained parameters.
package struct StepAudit: Sendable {
  /// What is wrong, and where.
  package enum Finding: Hashable, Sendable, CustomStringConvertible {
    /// Steps that nobody has applied.
    case missing(steps: Range<UInt64>)
    case repeated(step: UInt64, times: Int)
    /// A step was applied after a later one.
    case late(step: UInt64)
    /// Rows that no worker had.
    case hole(step: UInt64, rows: Range<Int>)
    /// Rows that a second worker had, or the same one twice.
    case overlap(step: UInt64, rows: Range<Int>, node: NodeID)
    /// Rows that the global batch does not have.
    case outside(step: UInt64, rows: Range<Int>, node: NodeID)

    package var description: String {
      switch self {
      // There may be more than an `Int` counts, of a ledger that is damaged.
      case .missing(let steps) where steps.lowerBound + 1 == steps.upperBound:
        "step \(steps.lowerBound) was not applied"
      case .missing(let steps):
        "steps \(steps.lowerBound) to \(steps.upperBound - 1) were not applied"
      case .repeated(let step, let times): "step \(step) was applied \(times) times"
      case .late(let step): "step \(step) was applied after a later one"
      case .hole(let step, let rows): "step \(step): nobody had \(Self.text(rows))"
      case .overlap(let step, let rows, let node):
        "step \(step): \(node) had \(Self.text(rows)), which had been counted"
      case .outside(let step, let rows, let node):
        "step \(step): \(node) had \(Self.text(rows)), outside the global batch"
      }
    }

    private static func text(_ rows: Range<Int>) -> String {
      rows.lowerBound + 1 == rows.upperBound
        ? "row \(rows.lowerBound)" : "rows \(rows.lowerBound) to \(rows.upperBound - 1)"
    }
  }

  /// How a step was dealt with.
  private struct Applied: Sendable {
    /// `nil` where it was passed over.
    let record: CommitRecord?
    /// Examples that it was to have.
    let globalBatch: Int
  }

  /// Examples in each step from here on: a run that is resumed may have others than before.
  package var globalBatch: Int
  private let firstStep: UInt64
  private var applied: [UInt64: [Applied]] = [:]
  /// What was given up, the latest of each step: a checkpoint made of it may outlive that.
  private var givenUp: [UInt64: [Applied]] = [:]
  private var late: Set<UInt64> = []
  /// Steps of the surviving lineage so far.
  package private(set) var steps: UInt64
  /// Steps that were applied and given up again by going back to a checkpoint.
  package private(set) var discarded = 0

  /// - Parameters:
  ///   - globalBatch: examples in each step, at first.
  ///   - firstStep: the ledger begins here; what was before is not its matter.
  package init(globalBatch: Int, firstStep: UInt64 = 0) {
    self.globalBatch = globalBatch
    self.firstStep = firstStep
    steps = firstStep
  }

  /// Takes the ledger's next entry.
  package mutating func take(_ entry: LedgerEntry) {
    switch entry {
    case .wentOn(let after):
      for (step, records) in applied where step >= after {
        discarded += records.count
        applied[step] = nil
        givenUp[step] = records
      }
      // On again from a checkpoint that is newer than where the run had gone back to meanwhile.
      for (step, records) in givenUp where step >= steps && step < after {
        discarded -= records.count
        applied[step] = records
      }
      late = late.filter { $0 < after }
      // Where the ledger has fewer steps than the checkpoint, they show up as missing.
      steps = after
    case .committed(let record):
      guard case .training(let step) = record.kind else { return }
      add(record, to: step)
    case .skipped(let step): add(nil, to: step)
    }
  }

  private mutating func add(_ record: CommitRecord?, to step: UInt64) {
    if step < steps, applied[step] == nil { late.insert(step) }
    applied[step, default: []].append(Applied(record: record, globalBatch: globalBatch))
    steps = max(steps, step == .max ? step : step + 1)
  }

  /// Steps of the surviving lineage that were passed over.
  package var skipped: Set<UInt64> {
    Set(applied.filter { $0.value.contains { $0.record == nil } }.keys)
  }

  /// Examples in each step of the surviving lineage, by their number.
  package var globalBatches: [Int] {
    Set(applied.values.compactMap { $0.last?.globalBatch }).sorted()
  }

  /// Examples of the surviving lineage, those of skipped steps included; at most the largest number.
  package var examples: UInt64 {
    applied.values.reduce(0) { sum, of in
      let (sum, overflow) = sum.addingReportingOverflow(UInt64(of.last?.globalBatch ?? 0))
      return overflow ? .max : sum
    }
  }

  /// Everything that is wrong, by step; empty is the proof.
  package func findings() -> [Finding] {
    var found: [Finding] = []
    var next = firstStep
    for (step, records) in applied.sorted(by: { $0.key < $1.key }) {
      if step > next { found.append(.missing(steps: next..<step)) }
      next = step == .max ? step : step + 1
      if late.contains(step) { found.append(.late(step: step)) }
      if records.count > 1 { found.append(.repeated(step: step, times: records.count)) }
      for one in records {
        if let record = one.record { found += findings(step, record, one.globalBatch) }
      }
    }
    if next < steps { found.append(.missing(steps: next..<steps)) }
    return found
  }

  private func findings(
    _ step: UInt64, _ record: CommitRecord, _ globalBatch: Int
  ) -> [Finding] {
    let shares = record.shares.flatMap { node, ranges in ranges.map { (node: node, rows: $0) } }
      .filter { !$0.rows.isEmpty }
      .sorted { ($0.rows.lowerBound, $0.node) < ($1.rows.lowerBound, $1.node) }
    var found: [Finding] = []
    var next = 0
    for (node, rows) in shares {
      let inside = rows.clamped(to: 0..<globalBatch)
      if inside != rows { found.append(.outside(step: step, rows: rows, node: node)) }
      guard !inside.isEmpty else { continue }
      if inside.lowerBound > next {
        found.append(.hole(step: step, rows: next..<inside.lowerBound))
      } else if inside.lowerBound < next {
        let twice = inside.lowerBound..<min(next, inside.upperBound)
        found.append(.overlap(step: step, rows: twice, node: node))
      }
      next = max(next, inside.upperBound)
    }
    if next < globalBatch { found.append(.hole(step: step, rows: next..<globalBatch)) }
    return found
  }
}
