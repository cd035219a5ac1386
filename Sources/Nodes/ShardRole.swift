import Coordination
import Messages
import Network
import Training
import Transport

/// A server shard between its socket thread, its core and its compute thread.
final class ShardRole: CoreRole {
  private let start: RoleStart
  let compute: ComputeThread<ShardCore.Operation, ShardCore.Outcome, Bool>
  private let rates = RateSheet()
  var core: ShardCore?

  init(_ start: RoleStart) throws(TransportError) {
    self.start = start
    compute = try ComputeThread(
      name: "compute", threads: start.threads, recorder: start.recorder,
      label: { $0.traceLabel(start.context.plan) },
      // Of the chunks whose gradients are all there, the next forward pass wants the first layers'.
      need: { if case .apply(let chunk, _, _) = $0 { chunk } else { nil } }
    ) {
      [rates] in
      let compute = try ShardCompute(
        context: start.context, rank: start.rank, probe: start.probe, rates: rates)
      return (compute, true)
    }
  }

  func begin(_ preparation: Bool, now: Microseconds) -> (core: ShardCore, ready: String) {
    let core = ShardCore(
      plan: start.context.plan, identity: start.identity,
      serverIncarnation: start.serverIncarnation, rank: start.rank, now: now)
    let map = start.context.plan.shards
    return (
      core,
      "shard \(start.rank) of \(map.count), \(map.chunks[start.rank].count) chunks, "
        + "\(map.elements[start.rank]) values"
    )
  }

  func read(_ message: Message) -> [SessionDirective] {
    rates.follow(message, start.context.plan)
    return []
  }

  // A shard's decisions are not replayed.
  func asked(_ id: OperationID, _ operation: ShardCore.Operation) -> SessionDirective? { nil }
  func computed(_ id: OperationID, _ outcome: ShardCore.Outcome) -> SessionDirective? { nil }
}
