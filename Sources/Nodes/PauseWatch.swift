import Coordination

/// Notices that its process did not run for a while: somebody stopped it (Ctrl-Z, SIGSTOP), its
/// machine was suspended or starved. What happened meanwhile it did not see, so no deadline may have
/// run.
struct PauseWatch {
  /// The longest time between two looks that a busy machine explains: ten times what a socket thread
  /// waits for.
  static let longest: Microseconds = 500_000

  private var last: Microseconds?

  /// To be called in each pass of a loop that waits for less than `longest`.
  ///
  /// - Returns: for how long the process did not run, if so.
  mutating func look(_ now: Microseconds) -> Microseconds? {
    defer { last = now }
    guard let last, now > last + Self.longest else { return nil }
    return now - last
  }
}
