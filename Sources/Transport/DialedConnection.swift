import CZeroMQ
import Tensors

/// One connection that a hub has dialed, under one routing id: a DEALER and its monitor.
final class DialedConnection {
  /// After the monitor in memory, so before it in life: see `deinit`.
  private var monitor: SocketMonitor?
  private var socket: Socket

  /// - Throws: `TransportError` for an endpoint that can never work.
  init(
    _ endpoint: String, routingID: String, options: HubOptions, security: HubSecurity.Dialing?,
    isControl: Bool, context: Context
  ) throws(TransportError) {
    var socket = try Socket(.dealer, context: context)
    try options.apply(to: &socket, isControl: isControl)
    try socket.set(ZMQ_ROUTING_ID, bytes: Array(routingID.utf8))
    if let security { try socket.dial(with: security) }
    let events =
      ZMQ_EVENT_CONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED
      | ZMQ_EVENT_CONNECT_RETRIED | handshakeFailures
    let monitor = try SocketMonitor(socket, events: events, context: context)
    do { try socket.connect(endpoint) } catch {
      // The monitor must go first.
      _ = consume monitor
      throw error
    }
    self.monitor = consume monitor
    self.socket = socket
  }

  deinit { monitor = nil }

  /// The handles to poll: messages, events.
  var handles: (socket: UnsafeMutableRawPointer, monitor: UnsafeMutableRawPointer?) {
    (socket.handle, monitor?.handle)
  }

  func setLinger(_ milliseconds: Int) {
    try? socket.set(ZMQ_LINGER, milliseconds)
  }

  func send(_ frames: [Frame]) -> Socket.SendResult {
    for (index, frame) in frames.enumerated() {
      let result = socket.send(frame, more: index < frames.count - 1)
      guard result != .sent else { continue }
      if result == .wouldBlock && index > 0 {
        // The connection broke inside the message. ZeroMQ has taken back the parts before, and
        // drops what follows up to the last part: it must see them, or it would drop the
        // beginning of the next message instead.
        for following in frames.indices.dropFirst(index + 1) {
          _ = socket.send(frames[following], more: following < frames.count - 1)
        }
      }
      return result
    }
    return .sent
  }

  /// The next message, `nil` when there is none.
  func receive(_ hub: Hub, _ link: Hub.Link) throws(TransportError) -> [Frame]? {
    while let first = try socket.receivePart() {
      if let parts = try socket.receiveRest(after: first, hub) { return parts }
      hub.note(.tooManyParts(link))
    }
    return nil
  }

  /// What the monitor has seen next.
  func nextEvent() throws(TransportError) -> SocketMonitor.Record? { try monitor?.next() }
}

/// The bytes of a message.
func byteCount(_ frames: [Frame]) -> UInt64 {
  frames.reduce(0) { $0 + UInt64($1.byteCount) }
}

/// The events by which ZeroMQ says that a peer does not speak its protocol.
let handshakeFailures =
  ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
  | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH

/// What one of `handshakeFailures` means.
func handshakeFailure(_ record: SocketMonitor.Record) -> HandshakeFailure {
  switch record.event {
  case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    switch record.value {
    case ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH: .securityMismatch
    case ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC: .wrongKey
    default: .protocolError("0x\(String(UInt32(bitPattern: record.value), radix: 16))")
    }
  case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: .keyRefused
  default:
    .hungUp(zmq_strerror(record.value).map { String(cString: $0) } ?? "error \(record.value)")
  }
}

extension Socket {
  /// The whole message whose first part is `first`; `nil` if it has too many parts and is dropped.
  mutating func receiveRest(
    after first: Part, _ hub: Hub
  ) throws(TransportError) -> [Frame]? {
    var parts = [first.frame]
    var count = 1
    var more = first.more
    hub.bytesReceived += UInt64(first.frame.byteCount)
    // ZeroMQ delivers whole messages: the parts that follow are there.
    while more, let part = try receivePart() {
      hub.bytesReceived += UInt64(part.frame.byteCount)
      count += 1
      more = part.more
      if count <= hub.options.mostParts {
        parts.append(part.frame)
      } else {
        parts = []
      }
    }
    guard count <= hub.options.mostParts else {
      hub.droppedMessages += 1
      return nil
    }
    return parts
  }
}
