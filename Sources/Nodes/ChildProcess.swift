import CLinux
import Glibc

/// A process this one has started and will outlive or take along.
package final class ChildProcess {
  package let name: String
  package let processID: Int32
  /// How it ended; `nil` while it runs.
  package private(set) var end: End?

  package enum End: Hashable, Sendable, CustomStringConvertible {
    case exited(Int32)
    case killed(signal: Int32)
    /// Nobody knows: something else in this process has waited for it.
    case unknown

    package var description: String {
      switch self {
      case .exited(let code): "exited with code \(code)"
      case .killed(let signal): "was killed by signal \(signal)"
      case .unknown: "has ended"
      }
    }
  }

  /// Starts this very program with other arguments.
  ///
  /// The child gets a process group of its own, so that Ctrl-C in the terminal reaches only the
  /// parent, which then ends the cluster in order; and no signal blocked. Variables that stand in
  /// for options (CROSSCUT_...) are the parent's: it has put them into the arguments.
  ///
  /// - Parameters:
  ///   - environment: "NAME=value" strings that replace or add to this process's environment.
  ///   - output: descriptor for its standard output and error.
  package init(
    name: String, arguments: [String], environment: [String], output: Int32
  ) throws(NodeError) {
    self.name = name
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, output, 1)
    posix_spawn_file_actions_adddup2(&actions, output, 2)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))

    let changed = Set(environment.map { $0.prefix { $0 != "=" } })
    let kept = Self.environment().filter {
      !changed.contains($0.prefix { $0 != "=" }) && !$0.hasPrefix("CROSSCUT_")
    }
    var words = ([name] + arguments).map { strdup($0) } + [nil]
    var settings = (kept + environment).map { strdup($0) } + [nil]
    defer { for word in words + settings { free(word) } }
    var started: pid_t = 0
    let code = posix_spawn(
      &started, Host.executable, &actions, &attributes, &words, &settings)
    guard code == 0 else {
      throw NodeError("cannot start \(name): \(String(cString: strerror(code)))")
    }
    processID = started
  }

  private static func environment() -> [String] {
    var strings: [String] = []
    var pointer = environ
    while let entry = pointer.pointee {
      strings.append(String(cString: entry))
      pointer += 1
    }
    return strings
  }

  /// Looks whether it has ended, without waiting.
  @discardableResult
  package func poll() -> End? {
    guard end == nil else { return end }
    var status: Int32 = 0
    var result: pid_t
    repeat { result = waitpid(processID, &status, WNOHANG) } while result < 0 && errno == EINTR
    if result < 0, errno == ECHILD { end = .unknown }
    guard result == processID else { return end }
    end =
      crosscut_wait_exited(status) != 0
      ? .exited(crosscut_wait_exit_status(status))
      : .killed(signal: crosscut_wait_term_signal(status))
    return end
  }

  /// Sends a signal, if it still runs.
  package func send(_ signal: Int32) {
    if poll() == nil { kill(processID, signal) }
  }
}
