import Messages
import Network
import Tensors

extension FCCore {
  /// What this FC node waits for, and from whom; never nothing.
  var needs: [Need] {
    if !isIdle, let need = mirrorNeed { return [need] }
    guard let view = gate.view, let program, turn < program.count, !isIdle, !view.workers.isEmpty
    else { return [needBetweenTurns] }
    guard refusedTurn == nil else {
      return [
        Need(.member(.server), "what becomes of turn \(turn), whose numbers are not finite")
      ]
    }
    return lanes.indices.flatMap { lane -> [Need] in
      let part = lanes.count > 1 ? ", sub-batch \(lane)" : ""
      let inbox = inbox[Key(turn: turn, subBatch: lane)]
      switch lanes[lane].stage {
      case .done: return []
      case .computing(let index):
        return [Need(.own("compute thread"), "segment \(index) of turn \(turn)\(part)")]
      case .collecting:
        let missing = zip(view.workers, senders(lane)).enumerated().compactMap {
          worker, sender -> Need? in
          guard sender.1 != nil, inbox?.features[worker] == nil else { return nil }
          return Need(.member(sender.0.name), "features of turn \(turn)\(part)")
        }
        // One that waits for the sub-batch before it has that one's waits.
        guard missing.isEmpty, announced < turn else { return missing }
        return [Need(.member(.server), "the beginning of turn \(turn)")]
      case .exchanging(let index):
        return view.fcNodes.indices.compactMap { peer in
          guard peer != position, inbox?.exchanges[index - 1]?[peer] == nil else { return nil }
          return Need(
            .member(view.fcNodes[peer].name), "exchange \(index - 1) of turn \(turn)\(part)")
        }
      }
    }
  }
}
