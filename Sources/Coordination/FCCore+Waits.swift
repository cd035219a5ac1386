package import Messages
import Network
import Tensors

extension FCCore {
  /// What this FC node waits for, and from whom; never nothing.
  package func waits(now: Microseconds) -> [Wait] {
    let since = (now - min(now, clock.since)) / 1000
    func wait(_ owner: Wait.Owner, _ what: String) -> Wait {
      Wait(owner: owner, what: what, milliseconds: since)
    }
    guard let view = gate.view, let program else {
      return [wait(.member(.server), "the next view")]
    }
    if isIdle {
      let isCollecting =
        handsInMore
        || outstanding.values.contains {
          switch $0 {
          case .collect, .collectNext: true
          default: false
          }
        }
      return [
        isCollecting
          ? wait(.own("compute thread"), "its slices")
          : wait(.member(.server), "the end of the run")
      ]
    }
    if let wait = mirrorWait(since) { return [wait] }
    guard turn < program.count else { return [wait(.member(.server), "the end of the run")] }
    guard refusedTurn == nil else {
      return [wait(.member(.server), "what becomes of turn \(turn), whose numbers are not finite")]
    }
    guard !view.workers.isEmpty else { return [wait(.member(.server), "a view with workers")] }
    return lanes.indices.flatMap { lane -> [Wait] in
      let part = lanes.count > 1 ? ", sub-batch \(lane)" : ""
      let inbox = inbox[Key(turn: turn, subBatch: lane)]
      switch lanes[lane].stage {
      case .done: return []
      case .computing(let index):
        return [wait(.own("compute thread"), "segment \(index) of turn \(turn)\(part)")]
      case .collecting:
        let missing = zip(view.workers, senders(lane)).enumerated().compactMap {
          worker, sender -> Wait? in
          guard sender.1 != nil, inbox?.features[worker] == nil else { return nil }
          return wait(.member(sender.0.name), "features of turn \(turn)\(part)")
        }
        // One that waits for the sub-batch before it has that one's waits.
        guard missing.isEmpty, announced < turn else { return missing }
        return [wait(.member(.server), "the beginning of turn \(turn)")]
      case .exchanging(let index):
        return view.fcNodes.indices.compactMap { peer in
          guard peer != position, inbox?.exchanges[index - 1]?[peer] == nil else { return nil }
          return wait(
            .member(view.fcNodes[peer].name), "exchange \(index - 1) of turn \(turn)\(part)")
        }
      }
    }
  }
}
