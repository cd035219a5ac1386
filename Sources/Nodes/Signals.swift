import CLinux
package import Coordination
import Glibc

/// The signals that end a process in order, as a descriptor for a poll loop.
///
/// They are blocked in the calling thread, and so in the threads it starts afterwards: make this
/// before any other thread.
package final class Signals: Sendable {
  /// Readable when one has come.
  package let descriptor: Int32

  /// Signals that come so soon after the first, microseconds, are the same one again.
  package static let echo: UInt64 = 300_000

  /// Asks a process for an orderly end, and however often it comes for no more than that: so it is
  /// passed on by who does not know what the process has been told before.
  package static let orderly = SIGUSR1

  /// SIGINT (Ctrl-C), SIGTERM (kill, docker stop), SIGHUP (a lost terminal), that one not under
  /// `nohup`, and `orderly`; SIGPIPE is ignored.
  ///
  /// - Parameter children: for who has children: SIGCHLD and SIGTSTP (Ctrl-Z) are reported too.
  package init(children: Bool = false) throws(NodeError) {
    signal(SIGPIPE, SIG_IGN)
    var wanted = [SIGINT, SIGTERM, Self.orderly]
    // One that is blocked is kept and read even where it is ignored. `&` in a script has SIGINT
    // ignored, and there it is still to end a run in order.
    if crosscut_is_ignored(SIGHUP) == 0 { wanted.append(SIGHUP) }
    if children {
      // Where it is ignored, as whoever started this may have left it, nobody hears how a child ends.
      signal(SIGCHLD, SIG_DFL)
      wanted.append(SIGCHLD)
      if crosscut_is_ignored(SIGTSTP) == 0 { wanted.append(SIGTSTP) }
    }
    descriptor = wanted.withUnsafeBufferPointer {
      crosscut_signalfd($0.baseAddress, Int32($0.count))
    }
    guard descriptor >= 0 else {
      throw NodeError("signalfd: \(String(cString: strerror(errno)))")
    }
  }

  deinit { close(descriptor) }

  /// Has signals end the process at once until there is a `Signals`, even where whoever started it
  /// has left them blocked, or a script's `&` Ctrl-C ignored.
  package static func endAtOnce() {
    for number in [SIGINT, orderly] { signal(number, SIG_DFL) }
    var ends = sigset_t()
    sigemptyset(&ends)
    for number in [SIGINT, SIGTERM, SIGHUP, orderly] { sigaddset(&ends, number) }
    pthread_sigmask(SIG_UNBLOCK, &ends, nil)
  }

  /// The next signal that has come, or `nil`.
  package func next() -> Int32? {
    let number = crosscut_signalfd_read(descriptor)
    return number == 0 ? nil : number
  }

  /// Waits for a signal.
  ///
  /// - Returns: whether one has come.
  package func wait(milliseconds: Int32) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    poll(&entry, 1, milliseconds)
    return next() != nil
  }

  /// Does what SIGTSTP does to a process that does not look for it.
  package static func stopAsTold() {
    var stop = sigset_t()
    sigemptyset(&stop)
    sigaddset(&stop, SIGTSTP)
    raise(SIGTSTP)
    pthread_sigmask(SIG_UNBLOCK, &stop, nil)
    pthread_sigmask(SIG_BLOCK, &stop, nil)
  }

  /// What a signal is called: "SIGTERM".
  package static func name(_ number: Int32) -> String {
    switch number {
    case SIGINT: "SIGINT"
    case SIGTERM: "SIGTERM"
    case SIGHUP: "SIGHUP"
    case SIGCHLD: "SIGCHLD"
    case SIGTSTP: "SIGTSTP"
    case orderly: "told to end"
    default: "signal \(number)"
    }
  }
}

/// Which of the signals that come is the first one to end a process, and which wants it at once.
package struct EndSignals: Sendable {
  /// What a signal asks for.
  package enum Order: Sendable {
    /// An orderly end.
    case inOrder
    /// Nothing new.
    case nothing
    /// An orderly end that is under way, by somebody who may not know of it.
    case again
    /// An end where everything stands.
    case atOnce
  }

  private var first: Microseconds?
  private var isEnding = false

  /// One that has heard of none yet.
  package init() {}

  /// Takes a signal into account.
  ///
  /// A second one that comes at once is the first one's echo: a wrapper (`timeout`, a supervisor)
  /// passes on what the terminal sends to all anyway, and the kernel tells of a parent's death once a
  /// thread. Nor is a second SIGHUP somebody's wish: of a lost terminal the shell tells and the kernel.
  /// Beside `Signals.orderly` it is not a second one.
  package mutating func take(_ number: Int32, now: Microseconds) -> Order {
    defer { isEnding = true }
    guard number != Signals.orderly else { return isEnding ? .nothing : .inOrder }
    guard let first else {
      self.first = now
      return isEnding ? .again : .inOrder
    }
    return number != SIGHUP && now - min(now, first) > Signals.echo ? .atOnce : .nothing
  }
}

/// Ends a child process whose parent has died.
package enum ParentDeath {
  /// Environment variable by which a launcher tells its children its process id.
  package static let variable = "CROSSCUT_PARENT"

  /// Watches the parent that the environment names, if it names one.
  package static func watchIfChild() throws(NodeError) {
    guard let text = getenv(variable).map({ String(cString: $0) }) else { return }
    guard let parent = Int32(text) else {
      throw NodeError("\(variable) is \"\(text)\", not a process id")
    }
    try watch(parent: parent)
  }

  /// Has the kernel send SIGTERM when the parent's thread that started this process dies; if it
  /// is dead already, throws.
  ///
  /// - Parameter parent: the process that should be the parent.
  package static func watch(parent: Int32) throws(NodeError) {
    guard crosscut_set_parent_death_signal(SIGTERM) == 0 else {
      throw NodeError("prctl(PR_SET_PDEATHSIG): \(String(cString: strerror(errno)))")
    }
    guard getppid() == parent else { throw NodeError("the parent process is gone") }
  }
}
