import Glibc

/// A short run of the program itself, as child processes, watched from outside.
enum ClusterRun {
  /// Steps at the start that are not counted: primitives are made, pages touched.
  static let warmUp = 3

  struct Outcome {
    var stepMilliseconds: [Double] = []
    /// Sum over the processes of the largest resident memory of each while they train.
    var kilobytes = 0
    /// The same with the end, where the server puts model and checkpoint together.
    var kilobytesAtEnd = 0
  }

  /// Trains for `steps` steps after those that are not counted, and returns the times between
  /// commits.
  static func measure(
    _ program: String, _ network: String, workers: Int, fcNodes: Int, steps: Int,
    _ settings: [String]
  ) throws(BenchmarkError) -> Outcome {
    let directory = "/tmp/crosscut-benchmark-\(getpid())"
    remove(directory)
    defer { remove(directory) }
    let process = try spawn(
      [
        program, "train", network, "--workers", "\(workers)", "--fc-nodes", "\(fcNodes)",
        "--run-dir", directory, "--http", "off", "--set", "steps=\(steps + warmUp)",
      ] + settings.flatMap { ["--set", $0] }, log: "\(directory).log")
    var outcome = Outcome()
    var peaks: [pid_t: Int] = [:]
    var status: Int32 = 0
    while waitpid(process, &status, WNOHANG) == 0 {
      for member in [process] + children(of: process) {
        peaks[member] = max(peaks[member] ?? 0, peak(of: member))
      }
      let sum = peaks.values.reduce(0, +)
      // After they were looked at: the end has not begun in what was seen.
      let logged = try? read("\(directory)/metrics.jsonl").utf8.count { $0 == 10 }
      if logged ?? 0 < steps + warmUp { outcome.kilobytes = sum }
      outcome.kilobytesAtEnd = sum
      usleep(50_000)
    }
    guard status == 0 else {
      throw BenchmarkError(description: "crosscut train failed; see \(directory).log")
    }
    remove("\(directory).log")
    let moments = try read("\(directory)/metrics.jsonl").split(separator: "\n").compactMap { line in
      line.firstRange(of: "\"secondsSinceStart\":").flatMap { range in
        Double(line[range.upperBound...].prefix { $0.isNumber || $0 == "." })
      }
    }
    guard moments.count > warmUp + 1 else {
      throw BenchmarkError(description: "only \(moments.count) steps in \(directory)")
    }
    for (before, after) in zip(moments, moments.dropFirst()).dropFirst(warmUp - 1) {
      outcome.stepMilliseconds.append((after - before) * 1000)
    }
    return outcome
  }

  private static func spawn(_ command: [String], log: String) throws(BenchmarkError) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var process: pid_t = 0
    let status = posix_spawn(&process, command[0], &actions, nil, &arguments, environ)
    guard status == 0 else {
      throw BenchmarkError(description: "\(command[0]): \(String(cString: strerror(status)))")
    }
    return process
  }

  private static func children(of process: pid_t) -> [pid_t] {
    // Each thread lists what it has started.
    guard let threads = opendir("/proc/\(process)/task") else { return [] }
    defer { closedir(threads) }
    var found: [pid_t] = []
    while let entry = readdir(threads) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard let list = try? read("/proc/\(process)/task/\(name)/children") else { continue }
      found += list.split(separator: " ").compactMap { pid_t($0) }
    }
    return found
  }

  private static func peak(of process: pid_t) -> Int {
    guard let text = try? read("/proc/\(process)/status"),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") })
    else { return 0 }
    return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
  }

  private static func read(_ path: String) throws(BenchmarkError) -> String {
    guard let file = fopen(path, "r") else {
      throw BenchmarkError(description: "\(path): \(String(cString: strerror(errno)))")
    }
    defer { fclose(file) }
    var text = ""
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    defer { free(line) }
    while getline(&line, &capacity, file) > 0, let line { text += String(cString: line) }
    return text
  }

  /// A file or a folder with all that is in it.
  private static func remove(_ path: String) {
    guard let process = try? spawn(["/bin/rm", "-rf", path], log: "/dev/null") else { return }
    waitpid(process, nil, 0)
  }
}
