import Messages
import Network

/// What a core waits for, and from whom; a `Wait` says also for how long.
struct Need {
  let owner: Wait.Owner
  let what: String

  init(_ owner: Wait.Owner, _ what: String) {
    self.owner = owner
    self.what = what
  }
}

extension ChunkTable {
  /// The gradients of chunks that a worker has not pushed; `nil` if there are none.
  func need(of missing: [Int], from worker: Member, turn: UInt64) -> Need? {
    guard let first = missing.last else { return nil }
    let others = missing.count > 1 ? " and \(missing.count - 1) more" : ""
    return Need(.member(worker.name), "gradient of \(name(of: first))\(others), turn \(turn)")
  }
}
