import Coordination
import Messages
import Network
import Training
import Transport

/// A server shard between its socket thread, its core and its compute thread.
final class ShardRole: MemberRole {
  private let start: RoleStart
  private let compute: ComputeThread<ShardCore.Operation, ShardCore.Outcome, Bool>
  private let totalSteps = SharedNumber()
  private let rateReductions = SharedNumber()
  private let rates = RateSheet()
  private var core: ShardCore?

  init(_ start: RoleStart) throws(TransportError) {
    self.start = start
    compute = try ComputeThread(
      name: "compute", threads: start.threads, recorder: start.recorder,
      label: { $0.traceLabel(start.context.plan) },
      // Of the chunks whose gradients are all there, the next forward pass wants the first layers'.
      need: { if case .apply(let chunk, _, _) = $0 { chunk } else { nil } }
    ) {
      [totalSteps, rateReductions, rates] in
      let compute = try ShardCompute(
        context: start.context, rank: start.rank, probe: start.probe,
        totalSteps: { totalSteps.value }, reductions: { Int(rateReductions.value) }, rates: rates)
      return (compute, true)
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

  func fill(_ telemetry: inout Telemetry, now: Microseconds) {}

  func leave(reason: String, now: Microseconds) -> [MemberDirective] {
    carryOut(core?.handle(.leave(reason: reason), now: now) ?? [])
  }

  func takeReports(now: Microseconds) throws(NodeError) -> [MemberDirective] {
    var out: [MemberDirective] = []
    for report in compute.reports.drain() {
      switch report {
      case .prepared:
        core = ShardCore(
          plan: start.context.plan, identity: start.identity,
          serverIncarnation: start.serverIncarnation, rank: start.rank, now: now)
        let map = start.context.plan.shards
        out.append(
          .note(
            "ready: shard \(start.rank) of \(map.count), \(map.chunks[start.rank].count) chunks, "
              + "\(map.elements[start.rank]) values"))
      case .failed(let reason): throw NodeError(reason)
      case .finished(let id, let outcome):
        out += carryOut(core?.handle(.computed(id, outcome), now: now) ?? [])
      }
    }
    return out
  }

  func stop() { compute.stop() }

  private func carryOut(_ directives: [ShardCore.Directive]) -> [MemberDirective] {
    directives.compactMap { directive in
      switch directive {
      case .send(let message, let destination): return .send(message, destination)
      case .note(let text): return .note(text)
      case .exit(let stop): return .exit(stop)
      case .compute(let id, let operation):
        compute.submit(id, operation)
        return nil
      }
    }
  }
}
