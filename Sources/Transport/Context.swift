import CZeroMQ
import Synchronization

/// ZeroMQ's threads and the namespace of inproc endpoints; one a process, shared by its hubs.
///
/// `@unchecked Sendable`: a ZeroMQ context may be used from any thread (zmq(7)); the handle
/// never changes.
package final class Context: @unchecked Sendable {
  let handle: UnsafeMutableRawPointer
  private let isTerminated = Atomic(false)
  private let lastMonitor = Atomic<UInt64>(0)
  private let gatekeeper = Mutex<Gatekeeper?>(nil)

  /// - Parameters:
  ///   - ioThreads: one carries about 1 GB/s; more help only with several busy connections.
  ///   - maximumSockets: a connection dialed needs two (itself and its monitor).
  /// - Throws: `TransportError` when there is no memory or no descriptor left.
  package init(ioThreads: Int = 1, maximumSockets: Int = 4096) throws(TransportError) {
    precondition(ioThreads > 0, "\(ioThreads) I/O threads")
    guard let handle = zmq_ctx_new() else { throw .last("zmq_ctx_new") }
    self.handle = handle
    zmq_ctx_set(handle, ZMQ_IO_THREADS, Int32(clamping: ioThreads))
    zmq_ctx_set(handle, ZMQ_MAX_SOCKETS, Int32(clamping: maximumSockets))
  }

  deinit { terminate() }

  /// Ends ZeroMQ's threads, once every socket has been closed and has sent what its linger allows;
  /// blocks until then. Calling it again does nothing.
  package func terminate() {
    guard !isTerminated.exchange(true, ordering: .sequentiallyConsistent) else { return }
    _ = retryingInterrupts { zmq_ctx_term(handle) }
    gatekeeper.withLock { gatekeeper in
      gatekeeper?.join()
      gatekeeper = nil
    }
  }

  /// Who decides about callers here; started when the first socket that encrypts listens.
  func startedGatekeeper() throws(TransportError) -> Gatekeeper {
    try gatekeeper.withLock { gatekeeper throws(TransportError) in
      if let gatekeeper { return gatekeeper }
      let started = try Gatekeeper(context: self)
      gatekeeper = started
      return started
    }
  }

  /// An inproc endpoint nobody else of this context uses.
  func newMonitorEndpoint() -> String {
    let number = lastMonitor.add(1, ordering: .relaxed).newValue
    return "inproc://crosscut-monitor-\(number)"
  }
}
