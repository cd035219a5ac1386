import Configuration
import Coordination
import Datasets
import Messages
import Training
import Transport

/// A worker between its socket thread, its core, its compute thread and its loader.
final class WorkerRole: MemberRole {
  /// What the compute thread has found out before the core can start.
  struct Preparation: Sendable {
    let facts: DatasetFacts
    let groups: ShardGroups?
    let loader: BatchLoader
  }

  private let start: RoleStart
  private let compute: ComputeThread<WorkerCore.Operation, WorkerCore.Outcome, Preparation>
  private var core: WorkerCore?
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

  var wakeUp: WakeUp { compute.reports.wakeUp }
  var isPrepared: Bool { core != nil }
  var viewNumber: UInt32 { core?.viewNumber ?? 0 }
  var currentTurn: UInt64 { core?.currentTurn ?? 0 }

  func stall(milliseconds: Int) { compute.stall(milliseconds: milliseconds) }

  func name(of node: NodeID) -> NodeName? { core?.name(of: node) }

  func deliver(_ message: Message, now: Microseconds) -> [MemberDirective] {
    agreement(message) + carryOut(core?.handle(.message(message), now: now) ?? [])
  }

  /// Says once that the data is the cluster's; the server refuses a worker whose data is not.
  private func agreement(_ message: Message) -> [MemberDirective] {
    guard case .view(let view) = message.body, !hasAgreed, view.dataset == facts else { return [] }
    hasAgreed = true
    return [.note("the data set is the cluster's: nothing to download")]
  }

  func tick(now: Microseconds) -> [MemberDirective] {
    (loader?.broken?.takeNews() ?? []).map { .warning($0) }
      + carryOut(core?.handle(.tick, now: now) ?? [])
  }

  func leave(reason: String, now: Microseconds) -> [MemberDirective] {
    carryOut(core?.handle(.leave(reason: reason), now: now) ?? [])
  }

  func takeReports(now: Microseconds) throws(NodeError) -> [MemberDirective] {
    var out: [MemberDirective] = []
    for report in compute.reports.drain() {
      switch report {
      case .prepared(let preparation):
        loader = preparation.loader
        meter = LoaderMeter(threads: preparation.loader.threadCount, now: now)
        facts = preparation.facts
        core = WorkerCore(
          plan: start.context.plan, identity: start.identity,
          serverIncarnation: start.serverIncarnation, dataset: preparation.facts,
          heldGroups: preparation.groups?.held ?? [], now: now)
        out.append(
          .note(
            "ready: \(preparation.facts.trainingExamples) training and "
              + "\(preparation.facts.evaluationExamples) test examples"
              + (preparation.groups.map { ", here \($0.description)" } ?? "")))
      case .failed(let reason): throw NodeError(reason)
      case .finished(let id, let outcome):
        switch outcome {
        case .failed(let reason): out.append(.computed(id, failure: reason))
        case .hopeless(let reason): out.append(.hopeless(id, reason))
        default: out.append(.computed(id, failure: nil))
        }
        out += carryOut(core?.handle(.computed(id, outcome), now: now) ?? [])
      }
    }
    return out
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

  private func carryOut(_ directives: [WorkerCore.Directive]) -> [MemberDirective] {
    directives.compactMap { directive in
      switch directive {
      case .send(let message, let destination): return .send(message, destination)
      case .meet(let members): return .meet(members)
      case .note(let text): return .note(text)
      case .exit(let stop): return .exit(stop)
      case .compute(let id, let operation):
        compute.submit(id, operation)
        if case .configure = operation { return .asked(id, FlightReplay.configure) }
        return .asked(id, "")
      case .prefetch(let span):
        loader?.request(BatchRequest(span))
        return nil
      case .dropPrefetched:
        loader?.cancelAll()
        return nil
      }
    }
  }
}
