import Coordination
import Glibc
import Messages
import Observability
import Training

/// Writes `ledger.jsonl`: a line for each turn that is committed, and for whatever takes one back.
///
/// Every line is written at once, so that a killed server loses none but the one it was writing, and
/// those that a full disk did not take.
struct RunLedger {
  private let log: MetricsLog
  private var incarnations: [NodeID: UInt64] = [:]
  private var lastShares: [NodeID: [Range<Int>]] = [:]
  private var hasDataset = false

  private var start: LedgerLine

  /// Opens the ledger.
  ///
  /// - Parameter resumed: what the server begins with, if that is a checkpoint.
  init(
    path: String, run: String, globalBatch: Int, fcNodes: Int, resumed: CheckpointManifest?,
    report: @escaping @Sendable (Logger.Level, String) -> Void
  ) throws(ObservabilityError) {
    log = try MetricsLog(path: path, patience: .ledger, report: report)
    start = LedgerLine(.start, step: resumed?.steps ?? 0, time: Self.now)
    start.run = run
    start.from = resumed?.run
    start.globalBatch = globalBatch
    start.fcNodes = fcNodes
  }

  /// Notes that the server begins: not before it is sure to.
  mutating func begin() {
    start.time = Self.now
    log.append(start)
  }

  /// For the thread that writes checkpoints: has the disk take what the ledger says so far, or says
  /// why it does not.
  var sync: @Sendable () -> String? {
    let log = log
    return { log.sync() }
  }

  /// Writes what had to wait, if there is room now.
  func retry() { log.retry() }

  /// Writes what it can, and says what it cannot.
  func finish() { log.finish() }

  /// Follows what the server's core decides.
  mutating func note(_ directive: ServerCore.Directive, _ core: ServerCore) {
    switch directive {
    case .welcome(let node, let incarnation): incarnations[node] = incarnation
    case .committed(let record): committed(record, core)
    case .skipped(let turn, let step, let view):
      var line = LedgerLine(.skip, step: step, time: Self.now)
      line.turn = turn
      line.view = view
      log.append(line)
    case .compute(_, .rollBack(let steps)):
      log.append(LedgerLine(.back, step: steps, time: Self.now))
    case .recut(let fcNodes):
      var line = LedgerLine(.recut, step: core.committedSteps, time: Self.now)
      line.fcNodes = fcNodes
      log.append(line)
    case .exit(let stop):
      var line = LedgerLine(.end, step: core.committedSteps, time: Self.now)
      line.text = stop.reason
      log.append(line)
    default: break
    }
  }

  private mutating func committed(_ record: CommitRecord, _ core: ServerCore) {
    var line: LedgerLine
    switch record.kind {
    case .training(let step): line = LedgerLine(.step, step: step, time: Self.now)
    case .evaluation(_, _, let step): line = LedgerLine(.evaluation, step: step, time: Self.now)
    }
    line.turn = record.turn
    line.view = record.view
    if record.kind.isTraining, record.shares != lastShares {
      lastShares = record.shares
      line.shares = record.shares.sorted { $0.key < $1.key }.map { node, rows in
        LedgerLine.Share(
          node: node.value, incarnation: Version.runName(incarnations[node] ?? 0),
          rows: rows.map { [$0.lowerBound, $0.upperBound] })
      }
    }
    if !hasDataset, let facts = core.dataset {
      hasDataset = true
      line.trainingExamples = facts.trainingExamples
      line.datasetFingerprint = Version.runName(facts.fingerprint)
    }
    log.append(line)
  }

  private static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Double(time.tv_sec) + (Double(time.tv_nsec) / 1e6).rounded() / 1e3
  }
}
