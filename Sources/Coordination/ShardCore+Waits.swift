import Messages
import Network
import Tensors

extension ShardCore {
  /// What this shard waits for, and from whom; never nothing.
  var needs: [Need] {
    guard let view = gate.view, let program, turn < program.count, !isIdle, !view.workers.isEmpty
    else { return [needBetweenTurns] }
    let isGiving = outstanding.values.contains {
      if case .snapshot = $0 { true } else { false }
    }
    guard !isGiving else { return [Need(.own("compute thread"), "the parameters for a worker")] }
    guard applied.count == applying.count else {
      return [Need(.own("compute thread"), "a step of the parameters, turn \(turn)")]
    }
    let needs = view.workers.enumerated().compactMap { position, member in
      let missing = chunks.filter { !applying.contains($0) && pushes[$0]?[position] == nil }
      return plan.chunks.need(of: missing, from: member, turn: turn)
    }
    guard needs.isEmpty, announced < turn else { return needs }
    return [Need(.member(.server), "the beginning of turn \(turn)")]
  }
}
