import Coordination

/// Watches whether the server says anything to a member: where nothing is to be said for a while, it
/// is asked. A server that is stopped, or whose machine hangs, keeps its connections; its members wait
/// for it, and say so.
struct ServerSilence {
  private static let second: Microseconds = 1_000_000
  /// After how much silence the server is asked, and how often then.
  static let question: Microseconds = 10 * second
  /// After how much silence people are told.
  static let patience: Microseconds = 40 * second

  private let endpoint: String
  private var last: Microseconds
  private var asked: Microseconds?
  private var isTold = false

  init(_ endpoint: String, since: Microseconds) {
    self.endpoint = endpoint
    last = since
  }

  /// The server has said something.
  mutating func heard(_ now: Microseconds) {
    last = max(last, now)
    asked = nil
    isTold = false
  }

  /// This process did not run for so long, and could not hear.
  mutating func slept(_ gap: Microseconds) {
    last += gap
    asked = asked.map { $0 + gap }
  }

  /// - Returns: whether to ask the server for a word, and a line for people.
  mutating func look(_ now: Microseconds) -> (asks: Bool, line: String?) {
    let silent = now - min(now, last)
    guard silent >= Self.question else { return (false, nil) }
    let asks = asked.map { now >= $0 + Self.question } ?? true
    if asks { asked = now }
    guard silent >= Self.patience, !isTold else { return (asks, nil) }
    isTold = true
    return (
      asks,
      "the server at \(endpoint) has said nothing for \(silent / Self.second) s: is its process"
        + " stopped, or its machine too busy? Waiting for it"
    )
  }
}
