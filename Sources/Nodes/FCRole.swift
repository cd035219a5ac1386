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
  private let totalSteps: SharedNumber
  private let rateReductions: SharedNumber
  private let rates: RateSheet
  private var core: FCCore?

  init(_ start: RoleStart) throws(TransportError) {
    self.start = start
    let totalSteps = SharedNumber()
    self.totalSteps = totalSteps
    let rateReductions = SharedNumber()
    self.rateReductions = rateReductions
    let rates = RateSheet()
    self.rates = rates
    compute = try ComputeThread(
      name: "compute", threads: start.threads, recorder: start.recorder,
      label: { $0.traceLabel(start.context.plan) }
    ) {
      try start.context.checkPrecision()
      let compute = try FCCompute(
        context: start.context, rank: start.rank, probe: start.probe,
        totalSteps: { totalSteps.value }, reductions: { Int(rateReductions.value) },
        rates: rates)
      return (compute, FCCompute.exchangeRowBytes(start.context, rank: start.rank))
    }
  }

  var wakeUp: WakeUp { compute.reports.wakeUp }
  var isPrepared: Bool { core != nil }
  var viewNumber: UInt32 { core?.viewNumber ?? 0 }
  var currentTurn: UInt64 { core?.currentTurn ?? 0 }

  func stall(milliseconds: Int) { compute.stall(milliseconds: milliseconds) }

  func name(of node: NodeID) -> NodeName? { core?.name(of: node) }

  func deliver(_ message: Message, now: Microseconds) -> [MemberDirective] {
    switch message.body {
    case .view(let view):
      totalSteps.value = start.context.plan.totalSteps(view.dataset)
      rateReductions.value = UInt64(view.rateReductions)
      rates.changes = view.rateChanges
    case .advance(let advance):
      rateReductions.value = UInt64(advance.rateReductions)
      rates.changes = advance.rateChanges
    default: break
    }
    return carryOut(core?.handle(.message(message), now: now) ?? [])
  }

  func tick(now: Microseconds) -> [MemberDirective] {
    carryOut(core?.handle(.tick, now: now) ?? [])
  }

  func drained(now: Microseconds) -> [MemberDirective] {
    guard core?.handsInMore == true else { return [] }
    return [.drained] + carryOut(core?.handle(.drained, now: now) ?? [])
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
        if case .failed(let reason) = outcome {
          out.append(.computed(id, failure: reason))
        } else {
          out.append(.computed(id, failure: nil))
        }
        out += carryOut(core?.handle(.computed(id, outcome), now: now) ?? [])
      }
    }
    return out
  }

  func fill(_ telemetry: inout Telemetry, now: Microseconds) {}

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
        if case .apply = operation { return .asked(id, FlightReplay.apply) }
        return .asked(id, "")
      }
    }
  }
}

/// What the socket thread learns and the compute thread reads: the length of the run, the learning
/// rate's reductions.
final class SharedNumber: Sendable {
  private let number = Atomic<UInt64>(0)
  init() {}

  var value: UInt64 {
    get { number.load(ordering: .sequentiallyConsistent) }
    set { number.store(newValue, ordering: .sequentiallyConsistent) }
  }
}
