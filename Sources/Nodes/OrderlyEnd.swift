import Coordination

/// An orderly end of a local cluster under way: when the launcher helps it along.
///
/// Saving a large model takes as long as it takes, so only the time counts in which the server does
/// not answer.
struct OrderlyEnd: Sendable {
  /// What is to be done.
  enum Step: Hashable, Sendable {
    case wait
    /// A person should hear that it goes on, and what ends it.
    case remind
    /// The members are to end by themselves.
    case tellMembers
    /// All are to be killed.
    case kill
  }

  /// How long the server may be silent before the members are told, and before all are killed; and
  /// how long the members may stay after it.
  private static let patience = (told: 20.0, killed: 25.0, alone: 3.0)
  /// When a person begins to wonder.
  private static let wondering = 20.0

  private var silence: LivedTime
  private var whole: LivedTime
  private var hasReminded = false

  init(now: Microseconds = MonotonicClock.now()) {
    silence = LivedTime(now: now)
    whole = silence
  }

  /// The server has answered.
  mutating func answered(now: Microseconds = MonotonicClock.now()) {
    silence = LivedTime(now: now)
  }

  /// What is to be done now.
  mutating func look(serverLives: Bool, now: Microseconds = MonotonicClock.now()) -> Step {
    silence.look(now: now)
    whole.look(now: now)
    if silence.seconds > Self.patience.killed { return .kill }
    if silence.seconds > Self.patience.told { return .tellMembers }
    guard serverLives else { return silence.seconds > Self.patience.alone ? .tellMembers : .wait }
    guard whole.seconds > Self.wondering, !hasReminded else { return .wait }
    hasReminded = true
    return .remind
  }
}
