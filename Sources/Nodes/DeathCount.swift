import Coordination

/// Whether a process that has died is worth another start: one that dies again and again within
/// seconds has a reason that another start does not mend.
struct DeathCount {
  /// Starts in a row without a life of some length.
  private static let most = 5
  /// A life so long shows that the process can work.
  private static let life: Microseconds = 5_000_000
  /// How long one that starts may take to join the others.
  private static let joining: Microseconds = 60_000_000

  private var quick = 0
  /// Whether it is not to be started again, however often somebody asks.
  private(set) var hasGivenUp = false
  private var started: Microseconds

  /// - Parameter now: when the process was first started.
  init(now: Microseconds = MonotonicClock.now()) { started = now }

  /// Takes a death into account.
  ///
  /// - Returns: whether it should be started again, which counts from now on.
  mutating func mayRestart(now: Microseconds = MonotonicClock.now()) -> Bool {
    guard !hasGivenUp else { return false }
    quick = now - min(now, started) < Self.life ? quick + 1 : 0
    guard quick <= Self.most else {
      hasGivenUp = true
      return false
    }
    started = now
    return true
  }

  /// Whether the last start is so long ago that the process has joined the others, if it ever will.
  func isSettled(now: Microseconds = MonotonicClock.now()) -> Bool {
    hasGivenUp || now - min(now, started) > Self.joining
  }
}
