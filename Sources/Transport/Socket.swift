import CZeroMQ
import Glibc
import Tensors

/// One ZeroMQ socket, closed with the value.
///
/// Not `Sendable`: a socket belongs to the thread that made it. Every call is non-blocking.
struct Socket: ~Copyable {
  /// The patterns used here.
  enum Kind {
    /// Talks to many peers, each by its routing id.
    case router
    /// Talks to one peer.
    case dealer
    /// One end of an exclusive pair: socket monitors.
    case pair
    /// Answers one question after the other: the gatekeeper.
    case reply

    fileprivate var code: Int32 {
      switch self {
      case .router: ZMQ_ROUTER
      case .dealer: ZMQ_DEALER
      case .pair: ZMQ_PAIR
      case .reply: ZMQ_REP
      }
    }
  }

  /// What became of a part given to `send`.
  enum SendResult: Equatable {
    case sent
    /// A queue is full or nobody is connected.
    case wouldBlock
    /// There is no such peer, or the context is going down.
    case gone
  }

  /// A part received.
  struct Part {
    let frame: Frame
    /// Whether more parts of the same message follow.
    let more: Bool
    /// The descriptor of the connection it came by; -1 on inproc.
    let source: Int32
    /// What the gatekeeper calls who sent it; `nil` on a connection that does not encrypt, and but
    /// for the first part.
    var caller: String?
    /// The IP address of who sent it, as ZeroMQ keeps it with the message; `nil` where that has none,
    /// and but for the first part.
    var address: String?
  }

  /// Smaller frames are copied into ZeroMQ's message: cheaper than its note of foreign memory.
  static let copiedBytes = 256

  let handle: UnsafeMutableRawPointer
  /// The message received into next. It is on the heap, so that it can go over to a frame as it
  /// is; ZeroMQ's messages must not be moved, small ones hold their bytes themselves.
  private var incoming: UnsafeMutablePointer<zmq_msg_t>

  init(_ kind: Kind, context: Context) throws(TransportError) {
    try self.init(kind, contextHandle: context.handle)
  }

  init(_ kind: Kind, contextHandle: UnsafeMutableRawPointer) throws(TransportError) {
    guard let handle = zmq_socket(contextHandle, kind.code) else { throw .last("zmq_socket") }
    self.handle = handle
    incoming = Self.newMessage()
  }

  deinit {
    zmq_msg_close(incoming)
    incoming.deallocate()
    zmq_close(handle)
  }

  private static func newMessage() -> UnsafeMutablePointer<zmq_msg_t> {
    let message = UnsafeMutableRawPointer.allocate(
      byteCount: MemoryLayout<zmq_msg_t>.size, alignment: 16
    ).bindMemory(to: zmq_msg_t.self, capacity: 1)
    zmq_msg_init(message)
    return message
  }

  // MARK: Options and endpoints

  mutating func set(_ option: Int32, _ value: Int) throws(TransportError) {
    var value = Int32(clamping: value)
    guard zmq_setsockopt(handle, option, &value, MemoryLayout<Int32>.size) == 0 else {
      throw .last("zmq_setsockopt(\(option), \(value))")
    }
  }

  mutating func set(_ option: Int32, int64 value: Int64) throws(TransportError) {
    var value = value
    guard zmq_setsockopt(handle, option, &value, MemoryLayout<Int64>.size) == 0 else {
      throw .last("zmq_setsockopt(\(option), \(value))")
    }
  }

  mutating func set(_ option: Int32, bytes: [UInt8]) throws(TransportError) {
    guard zmq_setsockopt(handle, option, bytes, bytes.count) == 0 else {
      throw .last("zmq_setsockopt(\(option))")
    }
  }

  /// Encrypts what comes in over connections that others make, who must have `domain`'s leave.
  ///
  /// The gatekeeper must be there already: without one ZeroMQ lets everybody in.
  mutating func listen(with keys: KeyPair, domain: String) throws(TransportError) {
    try set(ZMQ_CURVE_SERVER, 1)
    try set(ZMQ_CURVE_SECRETKEY, bytes: keys.secret)
    try set(ZMQ_ZAP_DOMAIN, bytes: Array(domain.utf8))
  }

  /// Encrypts the connection to one who has `security.peer`'s secret half.
  mutating func dial(with security: HubSecurity.Dialing) throws(TransportError) {
    try set(ZMQ_CURVE_SERVERKEY, bytes: security.peer.bytes)
    try set(ZMQ_CURVE_PUBLICKEY, bytes: security.keys.publicKey.bytes)
    try set(ZMQ_CURVE_SECRETKEY, bytes: security.keys.secret)
  }

  mutating func bind(_ endpoint: String) throws(TransportError) {
    try Self.checkPort(endpoint, from: 0, call: "zmq_bind")
    guard retryingInterrupts({ zmq_bind(handle, endpoint) }) == 0 else {
      throw .last("zmq_bind", endpoint: endpoint)
    }
  }

  mutating func unbind(_ endpoint: String) throws(TransportError) {
    guard retryingInterrupts({ zmq_unbind(handle, endpoint) }) == 0 else {
      throw .last("zmq_unbind", endpoint: endpoint)
    }
  }

  mutating func connect(_ endpoint: String) throws(TransportError) {
    try Self.checkPort(endpoint, from: 1, call: "zmq_connect")
    guard retryingInterrupts({ zmq_connect(handle, endpoint) }) == 0 else {
      throw .last("zmq_connect", endpoint: endpoint)
    }
  }

  /// Where the last `bind` or `connect` went, with the port the system picked.
  mutating func lastEndpoint() throws(TransportError) -> String {
    var bytes = [CChar](repeating: 0, count: 1024)
    var count = bytes.count
    guard zmq_getsockopt(handle, ZMQ_LAST_ENDPOINT, &bytes, &count) == 0 else {
      throw .last("zmq_getsockopt(ZMQ_LAST_ENDPOINT)")
    }
    let text = bytes.prefix(count).prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    // An IPv4 address on a socket for both families: as people write it.
    let endpoint = String(decoding: text, as: UTF8.self)
    let mapped = "tcp://[::ffff:"
    guard endpoint.hasPrefix(mapped), let bracket = endpoint.firstIndex(of: "]") else {
      return endpoint
    }
    let address = endpoint[endpoint.index(endpoint.startIndex, offsetBy: mapped.count)..<bracket]
    return "tcp://\(address)\(endpoint[endpoint.index(after: bracket)...])"
  }

  /// ZeroMQ 4.3.4 takes a port above 65535 for what is left of it in 16 bits, and says nothing.
  private static func checkPort(
    _ endpoint: String, from lowest: Int, call: String
  ) throws(TransportError) {
    guard endpoint.hasPrefix("tcp://"),
      let port = endpoint.split(separator: ":", omittingEmptySubsequences: false).last,
      port != "*"
    else { return }
    guard port.allSatisfy(\.isNumber), let number = Int(port), (lowest...65535).contains(number)
    else {
      throw TransportError(
        call: call, code: EINVAL, endpoint: endpoint,
        text: "\(port.isEmpty ? "nothing" : "'\(port)'") is no port in \(lowest)...65535")
    }
  }

  // MARK: Parts

  /// Hands `frame` to ZeroMQ as one part. Its bytes are not copied unless they are few; ZeroMQ
  /// keeps a reference until it has written them out, and drops it on a thread of its own.
  mutating func send(_ frame: Frame, more: Bool) -> SendResult {
    withUnsafeTemporaryAllocation(byteCount: MemoryLayout<zmq_msg_t>.size, alignment: 16) {
      memory in
      let message = memory.bindMemory(to: zmq_msg_t.self).baseAddress
      guard frame.byteCount >= Self.copiedBytes else {
        guard zmq_msg_init_size(message, frame.byteCount) == 0 else { return .wouldBlock }
        if let source = frame.bytes.baseAddress, frame.byteCount > 0 {
          memcpy(zmq_msg_data(message), source, frame.byteCount)
        }
        return send(message, more: more)
      }
      let owner = Unmanaged.passRetained(frame)
      // The memory is only ever read: zmq_msg_init_data takes a mutable pointer because the
      // message's receiver may write, and frames received are immutable too.
      let failed = zmq_msg_init_data(
        message, UnsafeMutableRawPointer(mutating: frame.bytes.baseAddress), frame.byteCount,
        { _, owner in
          // On whatever thread drops the message last: nothing but the reference is touched.
          if let owner { Unmanaged<Frame>.fromOpaque(owner).release() }
        }, owner.toOpaque())
      guard failed == 0 else {
        owner.release()
        return .wouldBlock
      }
      return send(message, more: more)
    }
  }

  /// Sends a part given by its bytes: a routing id.
  mutating func send(bytes: [UInt8], more: Bool) -> SendResult {
    withUnsafeTemporaryAllocation(byteCount: MemoryLayout<zmq_msg_t>.size, alignment: 16) {
      memory in
      let message = memory.bindMemory(to: zmq_msg_t.self).baseAddress
      guard zmq_msg_init_size(message, bytes.count) == 0 else { return .wouldBlock }
      bytes.withUnsafeBytes { source in
        if let base = source.baseAddress { memcpy(zmq_msg_data(message), base, source.count) }
      }
      return send(message, more: more)
    }
  }

  private mutating func send(
    _ message: UnsafeMutablePointer<zmq_msg_t>?, more: Bool
  ) -> SendResult {
    let flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)
    if retryingInterrupts({ zmq_msg_send(message, handle, flags) }) >= 0 { return .sent }
    let code = zmq_errno()
    // zmq_msg_send(3): after a failure the message is still the caller's.
    zmq_msg_close(message)
    return code == EAGAIN ? .wouldBlock : .gone
  }

  /// The next part, `nil` when there is none.
  ///
  /// The frame owns ZeroMQ's message and its bytes are 8-byte aligned. ZeroMQ hands out small
  /// messages as windows into its receive buffer, at any address: those are copied, since floats
  /// are read in place.
  ///
  /// - Parameter naming: also asks who the sender is.
  mutating func receivePart(naming: Bool = false) throws(TransportError) -> Part? {
    let handle = handle
    let message = incoming
    let count = retryingInterrupts { zmq_msg_recv(message, handle, ZMQ_DONTWAIT) }
    guard count >= 0 else {
      if zmq_errno() == EAGAIN { return nil }
      throw .last("zmq_msg_recv")
    }
    let more = zmq_msg_more(message) == 1
    let source = zmq_msg_get(message, ZMQ_SRCFD)
    func property(_ name: String) -> String? {
      naming ? zmq_msg_gets(message, name).map { String(cString: $0) } : nil
    }
    let (caller, address) = (
      property("User-Id"), property("Peer-Address").flatMap(PeerAddress.text)
    )
    let bytes = UnsafeRawBufferPointer(start: zmq_msg_data(message), count: zmq_msg_size(message))
    if bytes.count < Self.copiedBytes || Int(bitPattern: bytes.baseAddress) % 8 != 0 {
      // The message itself is emptied by the next zmq_msg_recv into it.
      return Part(
        frame: Frame(copying: Array(bytes)), more: more, source: source, caller: caller,
        address: address)
    }
    incoming = Self.newMessage()
    // Closed once, by the frame's last reference, on whatever thread: nobody else has it.
    nonisolated(unsafe) let owned = message
    let frame = Frame(adopting: bytes) {
      zmq_msg_close(owned)
      owned.deallocate()
    }
    return Part(frame: frame, more: more, source: source, caller: caller, address: address)
  }
}
