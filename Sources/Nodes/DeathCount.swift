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

  /// Between two attempts where the process could not even be made, and how many there are: for a
  /// minute, in which a machine may find memory or a disk room.
  private static let pause: Microseconds = 1_000_000
  private static let mostFailures = 60

  private var quick = 0
  /// Starts in a row that could not be made, and when the next one may be tried.
  private var failures = 0
  private var notBefore: Microseconds = 0
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
    guard failures == 0 else { return true }
    quick = now - min(now, started) < Self.life ? quick + 1 : 0
    guard quick <= Self.most else {
      hasGivenUp = true
      return false
    }
    started = now
    return true
  }

  /// The process has been made.
  mutating func hasStarted(now: Microseconds = MonotonicClock.now()) {
    failures = 0
    started = now
  }

  /// The process could not be made, which is no death of it.
  ///
  /// - Returns: whether that is news.
  mutating func couldNotStart(now: Microseconds = MonotonicClock.now()) -> Bool {
    failures += 1
    notBefore = now + Self.pause
    hasGivenUp = failures >= Self.mostFailures
    return failures == 1
  }

  /// Whether another start is not to be tried yet.
  func isHeldBack(now: Microseconds = MonotonicClock.now()) -> Bool {
    !hasGivenUp && now < notBefore
  }

  /// Why it is not started again.
  var reason: String {
    failures > 0 ? "it cannot be started" : "it dies within seconds each time"
  }

  /// Whether the last start is so long ago that the process has joined the others, if it ever will.
  func isSettled(now: Microseconds = MonotonicClock.now()) -> Bool {
    hasGivenUp || now - min(now, started) > Self.joining
  }
}
