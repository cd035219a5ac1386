import Coordination
import Messages
import Network
import Training
import Transport

/// An FC node between its socket thread, its core and its compute thread.
final class FCRole: CoreRole {
  private let start: RoleStart
  let compute: ComputeThread<FCCore.Operation, FCCore.Outcome, [[Int]]>
  private let rates = RateSheet()
  var core: FCCore?

  init(_ start: RoleStart) throws(TransportError) {
    self.start = start
    compute = try ComputeThread(
      name: "compute", threads: start.threads, recorder: start.recorder,
      label: { $0.traceLabel(start.context.plan) }
    ) {
      [rates] in
      try start.context.checkPrecision()
      let compute = try FCCompute(
        context: start.context, rank: start.rank, probe: start.probe, rates: rates)
      return (compute, start.context.exchangeRowBytes(to: start.rank))
    }
  }

  func begin(_ exchangeRowBytes: [[Int]], now: Microseconds) -> (core: FCCore, ready: String) {
    let core = FCCore(
      plan: start.context.plan, identity: start.identity,
      serverIncarnation: start.serverIncarnation, exchangeRowBytes: exchangeRowBytes, now: now)
    return (core, "slice \(start.rank) of \(start.context.cut.nodes)")
  }

  func read(_ message: Message) -> [SessionDirective] {
    rates.follow(message, start.context.plan)
    return []
  }

  func drained(now: Microseconds) -> [SessionDirective] {
    guard core?.handsInMore == true else { return [] }
    return [.drained] + handle(.drained, now)
  }

  func asked(_ id: OperationID, _ operation: FCCore.Operation) -> SessionDirective? {
    if case .apply = operation { .asked(id, FlightReplay.apply) } else { .asked(id, "") }
  }

  func computed(_ id: OperationID, _ outcome: FCCore.Outcome) -> SessionDirective? {
    switch outcome {
    case .failed(let reason): return .computed(id, failure: reason)
    case .segment(let result):
      return result.notFinite.map { .notFinite(id, $0.depth, $0.what) }
        ?? .computed(id, failure: nil)
    case .done, .slices: return .computed(id, failure: nil)
    }
  }
}
