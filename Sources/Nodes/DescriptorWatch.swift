import Glibc

/// Says in time that a process comes to the end of its descriptors: at the limit nobody new gets
/// in, and no file can be opened.
struct DescriptorWatch {
  /// Between two looks, microseconds.
  private static let interval: UInt64 = 2_000_000
  /// Between two lines of the same kind: who connects and is sent away may come again and again.
  private static let silence: UInt64 = 60_000_000

  /// How near the end is.
  enum Level: Int {
    case far
    /// Four fifths are in use.
    case near
    case reached
  }

  private var lookedAt: UInt64?
  private var told = Level.far
  private var toldAt: UInt64 = 0

  /// Looks if it is time to.
  ///
  /// - Returns: a line for people when there is less than a fifth left.
  mutating func look(_ now: UInt64) -> String? {
    if let lookedAt, now - min(now, lookedAt) < Self.interval { return nil }
    lookedAt = now
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
    let most = Int(clamping: limit.rlim_cur)
    // None to look with: all are in use. Else one of them is the look's own.
    let count = Folders.names(in: "/proc/self/fd").count
    return judge(used: count == 0 ? most : count - 1, limit: most, now)
  }

  /// A line when four fifths are in use and when all are, each once, and again a minute later at
  /// the earliest if it has been far from it meanwhile.
  mutating func judge(used: Int, limit: Int, _ now: UInt64) -> String? {
    let level: Level =
      used >= limit - 1 ? .reached : used >= limit - limit / 5 ? .near : .far
    if used < limit / 10 * 7, now - min(now, toldAt) >= Self.silence { told = .far }
    guard level.rawValue > told.rawValue else { return nil }
    told = level
    toldAt = now
    return "descriptors: \(used) of at most \(limit) are in use, "
      + (level == .reached ? "nobody new gets in" : "and at the limit nobody new gets in")
      + " and no file can be opened: raise the limit (ulimit -n, LimitNOFILE=), or find out who"
      + " connects"
  }
}
