package import Messages
import Network
import Tensors

extension ShardCore {
  /// What this shard waits for, and from whom; never nothing.
  package func waits(now: Microseconds) -> [Wait] {
    let since = (now - min(now, clock.since)) / 1000
    func wait(_ owner: Wait.Owner, _ what: String) -> Wait {
      Wait(owner: owner, what: what, milliseconds: since)
    }
    guard let view = gate.view, let program else {
      return [wait(.member(.server), "the next view")]
    }
    if isIdle {
      let isCollecting = outstanding.values.contains {
        if case .collect = $0 { true } else { false }
      }
      return [
        isCollecting
          ? wait(.own("compute thread"), "its chunks")
          : wait(.member(.server), "the end of the run")
      ]
    }
    guard turn < program.count else { return [wait(.member(.server), "the end of the run")] }
    guard !view.workers.isEmpty else { return [wait(.member(.server), "a view with workers")] }
    let isGiving = outstanding.values.contains {
      if case .snapshot = $0 { true } else { false }
    }
    guard !isGiving else { return [wait(.own("compute thread"), "the parameters for a worker")] }
    guard applied.count == applying.count else {
      return [wait(.own("compute thread"), "a step of the parameters, turn \(turn)")]
    }
    return view.workers.enumerated().compactMap { position, member in
      let missing = chunks.filter { !applying.contains($0) && pushes[$0]?[position] == nil }
      guard let first = missing.last else { return nil }
      let others = missing.count > 1 ? " and \(missing.count - 1) more" : ""
      return wait(
        .member(member.name),
        "gradient of \(plan.chunks.name(of: first))\(others), turn \(turn)")
    }
  }
}
