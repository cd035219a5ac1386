import CZeroMQ
import Tensors

/// What ZeroMQ tells about a socket's connections.
///
/// The events come through an inproc pair of their own and are in no order with the messages.
struct SocketMonitor: ~Copyable {
  /// One event as zmq_socket_monitor(3) defines it.
  struct Record {
    /// One of the `ZMQ_EVENT_` numbers.
    let event: Int32
    /// A descriptor, an errno, an interval, ...: depends on the event.
    let value: Int32
  }

  private let monitored: UnsafeMutableRawPointer
  private var events: Socket

  /// Starts to watch `socket`, which must outlive the monitor.
  init(_ socket: borrowing Socket, events mask: Int32, context: Context) throws(TransportError) {
    let endpoint = context.newMonitorEndpoint()
    let monitored = socket.handle
    var events = try Socket(.pair, context: context)
    // Unbounded: at a full pair ZeroMQ's I/O thread would block, and every connection with it.
    try events.set(ZMQ_RCVHWM, 0)
    try events.set(ZMQ_LINGER, 0)
    guard zmq_socket_monitor(monitored, endpoint, mask) == 0 else {
      throw .last("zmq_socket_monitor", endpoint: endpoint)
    }
    do { try events.connect(endpoint) } catch {
      zmq_socket_monitor(monitored, nil, 0)
      throw error
    }
    self.monitored = monitored
    self.events = events
  }

  deinit { zmq_socket_monitor(monitored, nil, 0) }

  /// The handle to poll.
  var handle: UnsafeMutableRawPointer { events.handle }

  /// The next event, `nil` when there is none.
  mutating func next() throws(TransportError) -> Record? {
    while let head = try events.receivePart() {
      // The second part names the endpoint; whoever dialed or listens knows it.
      var more = head.more
      while more { more = try events.receivePart()?.more ?? false }
      guard head.frame.byteCount == 6 else { continue }
      return Record(
        event: Int32(head.frame.bytes.loadUnaligned(as: UInt16.self)),
        value: head.frame.bytes.loadUnaligned(fromByteOffset: 2, as: Int32.self))
    }
    return nil
  }
}
