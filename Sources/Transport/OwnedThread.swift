import CLinux
import Glibc
import Synchronization

/// A thread with a name and an owner, who must join it.
package final class OwnedThread: Sendable {
  /// What the new thread runs: handed over to it, then no longer anybody else's.
  private final class Start {
    let name: String
    let body: () -> Void

    init(name: String, body: @escaping () -> Void) {
      self.name = name
      self.body = body
    }
  }

  /// As `top -H` shows it, at most 15 bytes there.
  package let name: String
  private let thread: pthread_t
  private let isJoined = Atomic(false)

  /// Starts a thread that runs `body`.
  ///
  /// - Throws: `TransportError` when the system gives no thread.
  package init(name: String, body: sending @escaping () -> Void) throws(TransportError) {
    self.name = name
    let start = Unmanaged.passRetained(Start(name: name, body: body))
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
        crosscut_set_thread_name(start.name)
        start.body()
        return nil
      }, start.toOpaque())
    guard code == 0 else {
      start.release()
      throw TransportError(call: "pthread_create", code: code, endpoint: name)
    }
    self.thread = thread
  }

  deinit {
    let joined = isJoined.load(ordering: .sequentiallyConsistent)
    precondition(joined, "thread \(name) was never joined")
  }

  /// Blocks until the thread has ended. To be called once, not by the thread itself.
  package func join() {
    let again = isJoined.exchange(true, ordering: .sequentiallyConsistent)
    precondition(!again, "thread \(name) is joined twice")
    let code = pthread_join(thread, nil)
    precondition(code == 0, "pthread_join of \(name) gives \(code)")
  }
}
