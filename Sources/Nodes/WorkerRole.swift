import Configuration
import Coordination
import Datasets
import Messages
import Training
import Transport

/// A worker between its socket thread, its core, its compute thread and its loader.
final class WorkerRole: CoreRole {
  /// What the compute thread has found out before the core can start.
  struct Preparation: Sendable {
    let facts: DatasetFacts
    let groups: ShardGroups?
    let loader: BatchLoader
  }

  private let start: RoleStart
  let compute: ComputeThread<WorkerCore.Operation, WorkerCore.Outcome, Preparation>
  var core: WorkerCore?
  private var loader: BatchLoader?
  private var meter: LoaderMeter?
  private var facts: DatasetFacts?
  private var hasAgreed = false

  init(_ start: RoleStart) throws(TransportError) {
    self.start = start
    compute = try ComputeThread(
      name: "compute", threads: start.threads, recorder: start.recorder,
      label: { $0.traceLabel(start.context.plan) }
    ) {
      let context = start.context
      try context.checkPrecision()
      let data = try OpenDataset(context)
      if let groups = data.pair.groups, groups.held.isEmpty {
        throw TrainingError(
          "dataset: this machine has \(groups.description) whole, a worker needs one at least")
      }
      let loader = data.loader()
      return (
        WorkerCompute(context: context, loader: loader, classNames: data.pair.classNames),
        Preparation(facts: data.facts, groups: data.pair.groups, loader: loader)
      )
    }
  }

  func begin(_ preparation: Preparation, now: Microseconds) -> (core: WorkerCore, ready: String) {
    loader = preparation.loader
    meter = LoaderMeter(threads: preparation.loader.threadCount, now: now)
    facts = preparation.facts
    let core = WorkerCore(
      plan: start.context.plan, identity: start.identity,
      serverIncarnation: start.serverIncarnation, dataset: preparation.facts,
      heldGroups: preparation.groups?.held ?? [], now: now)
    return (
      core,
      "\(preparation.facts.trainingExamples) training and "
        + "\(preparation.facts.evaluationExamples) test examples"
        + (preparation.groups.map { ", here \($0.description)" } ?? "")
    )
  }

  /// Says once that the data is the cluster's; the server refuses a worker whose data is not.
  func read(_ message: Message) -> [SessionDirective] {
    guard case .view(let view) = message.body, !hasAgreed, view.dataset == facts else { return [] }
    hasAgreed = true
    return [.note("the data set is the cluster's: nothing to download")]
  }

  func tick(now: Microseconds) -> [SessionDirective] {
    (loader?.broken?.takeNews() ?? []).map { .warning($0) } + handle(.tick, now)
  }

  func fill(_ telemetry: inout Telemetry, now: Microseconds) {
    guard let loader else { return }
    meter?.update(loader.work, now: now)
    telemetry.loaderImagesPerSecond = meter?.possible ?? 0
    telemetry.takenImagesPerSecond = meter?.taken ?? 0
    telemetry.brokenExamples = UInt64(loader.broken?.count ?? 0)
  }

  func stop() {
    // The loader first: the compute thread may be waiting for a batch.
    loader?.stop()
    compute.stop()
    // It may have been prepared after the last look.
    guard loader == nil else { return }
    for report in compute.reports.drain() {
      if case .prepared(let preparation) = report { preparation.loader.stop() }
    }
  }

  func carryOut(_ own: WorkerCore.Own) {
    switch own {
    case .prefetch(let span): loader?.request(BatchRequest(span))
    case .dropPrefetched: loader?.cancelAll()
    }
  }

  func asked(_ id: OperationID, _ operation: WorkerCore.Operation) -> SessionDirective? {
    if case .configure = operation { .asked(id, FlightReplay.configure) } else { .asked(id, "") }
  }

  func computed(_ id: OperationID, _ outcome: WorkerCore.Outcome) -> SessionDirective? {
    switch outcome {
    case .failed(let reason): .computed(id, failure: reason)
    case .hopeless(let reason): .hopeless(id, reason)
    default: .computed(id, failure: nil)
    }
  }
}
