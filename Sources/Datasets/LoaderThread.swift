import CLinux
import Glibc

/// A thread with a name that must be joined before its handle goes.
final class LoaderThread {
  private final class Start {
    let name: String
    let body: @Sendable () -> Void
    init(_ name: String, _ body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }

  private var handle: pthread_t?

  /// Starts `body` on a thread of its own.
  ///
  /// - Parameter name: at most 15 characters are shown by tools.
  init(name: String, body: @escaping @Sendable () -> Void) {
    let start = Unmanaged.passRetained(Start(name, body))
    var thread = pthread_t()
    // Signals belong to the thread that reads the process's signalfd; a new thread inherits the
    // mask, so all are blocked before it starts.
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
        crosscut_set_thread_name(start.name)
        start.body()
        return nil
      }, start.toOpaque())
    pthread_sigmask(SIG_SETMASK, &before, nil)
    precondition(code == 0, "pthread_create: \(String(cString: strerror(code)))")
    handle = thread
  }

  /// Waits for the end of the body; a second call returns at once.
  func join() {
    guard let thread = handle else { return }
    pthread_join(thread, nil)
    handle = nil
  }

  deinit { precondition(handle == nil, "a loader thread was never joined") }
}
