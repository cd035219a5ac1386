import Network
import Coordination
import Messages
import Synchronization
import Training
import Transport

/// An FC node between its socket thread, its core and its compute thread.
final class FCRole: MemberRole {
  private let start: RoleStart
  private let compute: ComputeThread<FCCore.Operation, FCCore.Outcome, [[Int]]>
  private let totalSteps: TotalSteps
  private var core: FCCore?

  init(_ start: RoleStart) throws(TransportError) {
    self.start = start
    let totalSteps = TotalSteps()
    self.totalSteps = totalSteps
    compute = try ComputeThread(name: "compute", threads: start.threads) {
      let compute = try FCCompute(
        context: start.context, rank: start.rank, probe: start.probe,
        totalSteps: { totalSteps.value })
      return (compute, compute.exchangeRowBytes)
    }
  }

  var wakeUp: WakeUp { compute.reports.wakeUp }
  var isPrepared: Bool { core != nil }
  var viewNumber: UInt32 { core?.viewNumber ?? 0 }

  func deliver(_ message: Message, now: Microseconds) -> [MemberDirective] {
    if case .view(let view) = message.body {
      totalSteps.value = start.context.plan.totalSteps(view.dataset)
    }
    return carryOut(core?.handle(.message(message), now: now) ?? [])
  }

  func tick(now: Microseconds) -> [MemberDirective] {
    carryOut(core?.handle(.tick, now: now) ?? [])
  }

  func leave(reason: String, now: Microseconds) -> [MemberDirective] {
    carryOut(core?.handle(.leave(reason: reason), now: now) ?? [])
  }

  func takeReports(now: Microseconds) throws(NodeError) -> [MemberDirective] {
    var out: [MemberDirective] = []
    for report in compute.reports.drain() {
      switch report {
      case .prepared(let exchangeRowBytes):
        core = FCCore(
          plan: start.context.plan, identity: start.identity,
          serverIncarnation: start.serverIncarnation, exchangeRowBytes: exchangeRowBytes, now: now)
        out.append(.note("ready: slice \(start.rank) of \(start.context.cut.nodes)"))
      case .failed(let reason): throw NodeError(reason)
      case .finished(let id, let outcome):
        out += carryOut(core?.handle(.computed(id, outcome), now: now) ?? [])
      }
    }
    return out
  }

  func stop() { compute.stop() }

  private func carryOut(_ directives: [FCCore.Directive]) -> [MemberDirective] {
    directives.compactMap { directive in
      switch directive {
      case .send(let message, let destination): return .send(message, destination)
      case .meet(let members): return .meet(members)
      case .note(let text): return .note(text)
      case .exit(let stop): return .exit(stop)
      case .compute(let id, let operation):
        compute.submit(id, operation)
        return nil
      }
    }
  }
}

/// The length of the run, known with the first view and read by the compute thread.
final class TotalSteps: Sendable {
  private let steps = Atomic<UInt64>(0)
  init() {}

  var value: UInt64 {
    get { steps.load(ordering: .sequentiallyConsistent) }
    set { steps.store(newValue, ordering: .sequentiallyConsistent) }
  }
}
