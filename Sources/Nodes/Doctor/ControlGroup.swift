/// What the control group of this process (a container's limits) leaves of the machine.
enum ControlGroup {
  private static let root = "/sys/fs/cgroup"

  /// CPU time a second; `nil` without a limit.
  static var cores: Double? {
    // The second version has both numbers in a file, the first, of older engines, a file for each.
    let both =
      words("\(root)/cpu.max")
      ?? ["quota", "period"].compactMap { words("\(root)/cpu/cpu.cfs_\($0)_us")?.first }
    guard both.count == 2, let quota = Double(both[0]), let period = Double(both[1]), quota > 0,
      period > 0
    else { return nil }
    return quota / period
  }

  /// Bytes to the limit; `nil` without one.
  static var freeMemory: Int? {
    let files = [
      ("\(root)/memory.max", "\(root)/memory.current"),
      ("\(root)/memory/memory.limit_in_bytes", "\(root)/memory/memory.usage_in_bytes"),
    ]
    for (limit, used) in files {
      guard let most = words(limit)?.first.flatMap({ Int($0) }) else { continue }
      return max(0, most - (words(used)?.first.flatMap { Int($0) } ?? 0))
    }
    return nil
  }

  private static func words(_ path: String) -> [Substring]? {
    let text = SystemFile.text(path)
    return text.isEmpty ? nil : text.split(whereSeparator: \.isWhitespace)
  }

  /// The limit and what of it cannot be given back (file caches can), bytes; `nil` without a limit.
  static var memory: (limit: Int, used: Int)? {
    if let limit = words("\(root)/memory.max")?.first.flatMap({ Int($0) }) {
      return (limit, SystemFile.word(after: "anon", in: "\(root)/memory.stat") ?? 0)
    }
    // Without a limit the first version names one that no machine has.
    guard
      let limit = words("\(root)/memory/memory.limit_in_bytes")?.first.flatMap({ Int($0) }),
      limit < 1 << 50
    else { return nil }
    return (limit, SystemFile.word(after: "total_rss", in: "\(root)/memory/memory.stat") ?? 0)
  }

  /// How many processes the kernel has killed here for want of memory.
  static var memoryKills: Int {
    for path in [
      "\(root)/memory.events", "\(root)/memory/memory.oom_control", "/proc/vmstat",
    ] {
      if let count = SystemFile.word(after: "oom_kill", in: path) { return count }
    }
    return 0
  }
}
