import Coordination

/// How long a node looks for its server, and what it says meanwhile.
struct Patience {
  private static let second: Microseconds = 1_000_000
  /// When it says that it is still looking, seconds.
  private static let moments: [UInt64] = [5, 15, 30, 60, 120, 300, 600]

  private let endpoint: String
  private let seconds: UInt64
  private var since: Microseconds
  private var said = 0

  init(_ endpoint: String, seconds: Int, since: Microseconds) {
    self.endpoint = endpoint
    self.seconds = UInt64(max(seconds, 0))
    self.since = since
  }

  /// This process did not run for so long: it was stopped or suspended, and could not look.
  mutating func slept(_ gap: Microseconds) { since += gap }

  /// - Parameter trouble: what is known to be wrong, where something answers but lets nobody in;
  ///   whoever knows it tells of it.
  /// - Returns: a line for people, when it is time for one.
  /// - Throws: `NodeError` when the time is over.
  mutating func look(
    _ now: Microseconds, trouble: String? = nil
  ) throws(NodeError) -> String? {
    let waited = now - min(now, since)
    guard waited < seconds * Self.second else {
      throw NodeError(
        trouble
          ?? "no server answered at \(endpoint) for \(seconds) s: is it running, and is the address"
          + " right?")
    }
    guard trouble == nil else { return nil }
    guard said < Self.moments.count, waited >= Self.moments[said] * Self.second else { return nil }
    said += 1
    return "nothing answers at \(endpoint) yet (\(waited / Self.second) of \(seconds) s): is the"
      + " server running, and does a firewall let its port through?"
  }
}
