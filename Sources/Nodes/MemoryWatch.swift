/// Says in time that a container's memory comes to its end: the kernel that kills a process at the
/// limit leaves it no time to say anything.
struct MemoryWatch {
  /// Between two looks, microseconds.
  private static let interval: UInt64 = 2_000_000

  private var lookedAt: UInt64?
  private var hasWarned = false

  /// Looks if it is time to.
  ///
  /// - Returns: a line for people when there is less than a tenth left.
  mutating func look(_ now: UInt64) -> String? {
    if let lookedAt, now - min(now, lookedAt) < Self.interval { return nil }
    lookedAt = now
    guard let (limit, used) = ControlGroup.memory else { return nil }
    return judge(used: used, limit: limit)
  }

  /// A line once when `used` has passed nine tenths, and again after it has been below eight.
  mutating func judge(used: Int, limit: Int) -> String? {
    if used < limit / 10 * 8 { hasWarned = false }
    guard !hasWarned, used >= limit / 10 * 9 else { return nil }
    hasWarned = true
    return "memory: \(used >> 20) of the \(limit >> 20) MiB of this container are used, and at the"
      + " limit the kernel kills: raise the limit, or make globalBatch smaller"
  }

  /// What to add about a process that SIGKILL has ended, if the kernel did it.
  ///
  /// - Parameter kills: `ControlGroup.memoryKills` before.
  static func explanation(killsBefore kills: Int) -> String {
    guard ControlGroup.memoryKills > kills else { return "" }
    let limit = ControlGroup.memory.map { " of this container's \($0.limit >> 20) MiB" } ?? ""
    return
      ": out of memory\(limit); raise the limit, or make globalBatch or the number of nodes smaller"
  }
}
