import Coordination

/// Time that this process has lived through, as it looks at the clock again and again.
///
/// Between two looks at most two seconds count: what is longer was spent stopped or suspended.
struct LivedTime: Sendable {
  private static let longestLook: Microseconds = 2_000_000

  private(set) var seconds = 0.0
  private var last: Microseconds

  init(now: Microseconds = MonotonicClock.now()) { last = now }

  /// Counts what has passed since the last look.
  mutating func look(now: Microseconds = MonotonicClock.now()) {
    seconds += Double(min(now - min(now, last), Self.longestLook)) / 1_000_000
    last = now
  }
}
