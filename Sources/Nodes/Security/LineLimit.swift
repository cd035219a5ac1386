import Coordination

/// So many lines a minute about what others bring about as often as they like; the rest is counted.
struct LineLimit {
  /// What a server has such lines about.
  enum Kind: Hashable {
    case refused, command, enrolment, unsent
  }

  /// Lines a minute.
  static let mostLines = 10
  private static let minute: Microseconds = 60_000_000

  private var minuteBegan: Microseconds = 0
  private var lines = 0
  private var untold = 0

  /// Begins another minute if it is time to.
  ///
  /// - Returns: whether it has begun.
  mutating func begin(_ now: Microseconds) -> Bool {
    guard now - min(now, minuteBegan) >= Self.minute || minuteBegan == 0 else { return false }
    minuteBegan = max(now, 1)
    lines = 0
    return true
  }

  /// The line, with how many there were since the last one; `nil` if there were too many within this
  /// minute.
  mutating func line(_ text: String, now: Microseconds) -> String? {
    _ = begin(now)
    guard lines < Self.mostLines else {
      hold()
      return nil
    }
    lines += 1
    defer { untold = 0 }
    return text + (untold > 0 ? "; \(untold) more since the last such line" : "")
  }

  /// Counts one that is not to be told.
  mutating func hold() { untold += 1 }
}
