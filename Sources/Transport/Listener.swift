import CZeroMQ
import Glibc
import Tensors

/// A hub's listening socket: a ROUTER, its monitor, and a queue for each peer that is behind.
final class Listener {
  /// Where peers can dial.
  let boundEndpoint: String
  private var lock: EndpointLock?
  private var monitor: SocketMonitor?
  private var socket: Socket
  /// Peers for whom ZeroMQ would block, by routing id.
  private(set) var queues: [[UInt8]: SendQueue] = [:]
  /// Peers not listened to any more; the oldest are forgotten beyond a bound.
  private var hungUp: Set<[UInt8]> = []
  private var hungUpInOrder: [[UInt8]] = []
  /// Which peer spoke last by which connection, to name a connection that closes. As many as
  /// there are descriptors.
  private var peerOfDescriptor: [Int32: [UInt8]] = [:]
  /// Descriptors of connections that have closed and not been accepted anew.
  private var closedDescriptors: Set<Int32> = []
  /// Who those are who have spoken, by routing id.
  private var speakers: [[UInt8]: Speaker] = [:]
  private let domain: String?
  private let gatekeeper: Gatekeeper?
  /// IP addresses of this machine at which somebody has dialed.
  private var ownAddresses: Set<String> = []
  /// Messages that were refused, by routing id.
  private var refused: [[UInt8]: Int] = [:]
  /// How many are borne with.
  static let mostRefused = 256
  /// Messages that are dropped before others have their turn.
  private static let mostDroppedAtOnce = 64
  /// IP addresses of connections, by descriptor.
  private var addresses: [Int32: String] = [:]
  /// Handshakes that failed, oldest first, whose connections end next.
  private var failures: [HandshakeFailure] = []

  /// What ZeroMQ says with a message of who has sent it.
  private struct Speaker: Equatable {
    /// As the gatekeeper calls it.
    let caller: String?
    /// Its IP address, whatever has become of its descriptor.
    let address: String?
  }

  init(
    _ endpoint: String, options: HubOptions, security: HubSecurity.Listening?, context: Context
  ) throws(TransportError) {
    let lock = try EndpointLock.take(for: endpoint)
    var socket = try Socket(.router, context: context)
    try options.apply(to: &socket)
    try socket.set(ZMQ_RCVHWM, options.unreadMessages)
    // To an unknown peer `send` fails, and to a slow one it would block; otherwise both messages
    // would be dropped without a word.
    try socket.set(ZMQ_ROUTER_MANDATORY, 1)
    // A newcomer with the routing id of another gets nothing of what is meant for that one.
    try socket.set(ZMQ_ROUTER_HANDOVER, 0)
    if let security {
      let gatekeeper = try context.startedGatekeeper()
      let domain = gatekeeper.register(security.admit)
      self.gatekeeper = gatekeeper
      self.domain = domain
      try socket.listen(with: security.keys, domain: domain)
    } else {
      gatekeeper = nil
      domain = nil
    }
    // Not that a connection could not be taken: without a descriptor left ZeroMQ tries again, and
    // tells of it, as fast as it can.
    let events =
      ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED | handshakeFailures
    let monitor = try SocketMonitor(socket, events: events, context: context)
    do {
      try socket.bind(endpoint)
      boundEndpoint = try socket.lastEndpoint()
    } catch {
      _ = consume monitor
      throw error
    }
    self.lock = lock
    self.monitor = consume monitor
    self.socket = socket
  }

  deinit {
    monitor = nil
    if let domain { gatekeeper?.unregister(domain) }
  }

  /// The handles to poll: messages, events.
  var handles: (socket: UnsafeMutableRawPointer, monitor: UnsafeMutableRawPointer?) {
    (socket.handle, monitor?.handle)
  }

  /// Stops listening, and frees an ipc path once ZeroMQ has let go of it.
  func close(lingerMilliseconds: Int) {
    try? socket.set(ZMQ_LINGER, lingerMilliseconds)
    if lock != nil {
      // ZeroMQ closes the listening socket, and removes its path, on its own thread. The lock
      // must outlast that, or the next owner's path would be removed.
      try? socket.unbind(boundEndpoint)
      waitForClosed()
    }
    monitor = nil
    lock = nil
  }

  private func waitForClosed() {
    let deadline = MonotonicClock.milliseconds() + 1_000
    while let handle = monitor?.handle {
      while let record = try? monitor?.next() {
        if record.event == ZMQ_EVENT_CLOSED { return }
      }
      let left = deadline - MonotonicClock.milliseconds()
      guard left > 0 else { return }
      var item = zmq_pollitem_t(socket: handle, fd: -1, events: Int16(ZMQ_POLLIN), revents: 0)
      _ = retryingInterrupts { zmq_poll(&item, 1, left) }
    }
  }

  /// Sends or queues; false if neither is possible.
  func send(
    _ frames: [Frame], to routingID: [UInt8], bound: Int, counting bytes: inout UInt64
  ) -> Bool {
    guard !hungUp.contains(routingID) else { return false }
    if queues[routingID] == nil {
      switch trySend(frames, to: routingID) {
      case .sent:
        bytes += byteCount(frames)
        return true
      case .gone: return false
      case .wouldBlock: break
      }
    }
    return queues[routingID, default: SendQueue()].append(frames, bound: bound)
  }

  /// Sends of the queues what ZeroMQ takes; drops those of peers that have gone.
  func flush(counting bytes: inout UInt64) {
    for routingID in Array(queues.keys) {
      var result = Socket.SendResult.sent
      while result == .sent, let frames = queues[routingID]?.first {
        result = trySend(frames, to: routingID)
        guard result == .sent else { break }
        bytes += byteCount(frames)
        queues[routingID]?.removeFirst()
      }
      if result == .gone || queues[routingID]?.isEmpty == true { queues[routingID] = nil }
    }
  }

  /// A ROUTER decides at the routing id: whether the peer is there and takes a message. After
  /// that it takes every part, and drops them if the peer goes meanwhile.
  private func trySend(_ frames: [Frame], to routingID: [UInt8]) -> Socket.SendResult {
    let result = socket.send(bytes: routingID, more: true)
    guard result == .sent else { return result }
    for (index, frame) in frames.enumerated() {
      _ = socket.send(frame, more: index < frames.count - 1)
    }
    return .sent
  }

  /// Drops what waits for a peer; gives its bytes.
  func dropQueue(of routingID: [UInt8]) -> Int {
    queues.removeValue(forKey: routingID)?.byteCount ?? 0
  }

  /// Forgets a peer; gives the bytes that were queued for it.
  func hangUp(_ routingID: [UInt8]) -> Int {
    let dropped = queues.removeValue(forKey: routingID)?.byteCount ?? 0
    if hungUp.insert(routingID).inserted { hungUpInOrder.append(routingID) }
    // Routing ids are the peers' choice: without a bound they could fill the memory.
    if hungUpInOrder.count > 4096 { hungUp.remove(hungUpInOrder.removeFirst()) }
    return dropped
  }

  /// Counts a message of a peer that was refused. Whoever goes on and on is hung up on, and its
  /// connection ends: ZeroMQ would read from it faster than anybody here refuses.
  ///
  /// - Returns: the bytes that were queued for it, if it is cut off.
  func noteRefused(_ routingID: [UInt8], _ hub: Hub) throws(TransportError) -> Int {
    refused[routingID, default: 0] += 1
    guard refused[routingID] ?? 0 >= Self.mostRefused else {
      // Routing ids are the peers' choice.
      if refused.count > 4096 { refused = [:] }
      return 0
    }
    refused[routingID] = nil
    let dropped = hangUp(routingID)
    // A descriptor that has been closed may be somebody else's by now.
    try collectEvents(hub)
    if let descriptor = peerOfDescriptor.first(where: { $0.value == routingID })?.key,
      !closedDescriptors.contains(descriptor)
    {
      shutdown(descriptor, Int32(SHUT_RDWR))
    }
    return dropped
  }

  /// The next message; `nil` when there is none, or so many had to be dropped that it is others' turn.
  func receive(_ hub: Hub) throws(TransportError) -> (link: Hub.Link, parts: [Frame])? {
    for _ in 0..<Self.mostDroppedAtOnce {
      guard let id = try socket.receivePart() else { return nil }
      guard id.more, let first = try socket.receivePart(naming: true) else { continue }
      let routingID = Array(id.frame.bytes)
      // Without a gatekeeper it would be what the peer calls itself.
      let speaker = Speaker(caller: domain == nil ? nil : first.caller, address: first.address)
      try notePeer(routingID, from: speaker.address, on: first.source, hub)
      if speakers[routingID] != speaker { note(speaker, of: routingID) }
      let parts = try socket.receiveRest(after: first, hub)
      if hungUp.contains(routingID) {
        if parts != nil { hub.droppedMessages += 1 }
        _ = try noteRefused(routingID, hub)
      } else if let parts {
        return (.accepted(routingID), parts)
      } else {
        hub.note(.tooManyParts(.accepted(routingID)))
      }
    }
    return nil
  }

  /// Remembers who speaks by a connection.
  ///
  /// Events and messages come by different ways. But ZeroMQ tells of a connection before it hands
  /// out what came by it, so whenever a descriptor changes hands the events are read first: an old
  /// end is told of the old peer. A peer whose connection has closed before its first message was
  /// read is told of here, also where its descriptor is another's by now, as the address says.
  private func notePeer(
    _ routingID: [UInt8], from address: String?, on descriptor: Int32, _ hub: Hub
  ) throws(TransportError) {
    guard descriptor >= 0, peerOfDescriptor[descriptor] != routingID else { return }
    try collectEvents(hub)
    if let address, let present = addresses[descriptor], present != address {
      return hub.note(.peerClosed(.accepted(routingID)))
    }
    peerOfDescriptor[descriptor] = routingID
    if closedDescriptors.contains(descriptor) { hub.note(.peerClosed(.accepted(routingID))) }
  }

  /// Remembers who a peer is; forgets, of too many, those who have gone.
  private func note(_ speaker: Speaker, of routingID: [UInt8]) {
    if speakers.count >= 4096 {
      let present = Set(peerOfDescriptor.values)
      speakers = speakers.filter { present.contains($0.key) }
    }
    speakers[routingID] = speaker
  }

  /// Tells `hub` what the monitor has seen.
  func collectEvents(_ hub: Hub) throws(TransportError) {
    while let record = try monitor?.next() {
      switch record.event {
      case ZMQ_EVENT_ACCEPTED:
        closedDescriptors.remove(record.value)
        peerOfDescriptor[record.value] = nil
        addresses[record.value] = PeerAddress.at(record.value, getpeername)
        if let own = PeerAddress.at(record.value, getsockname) { ownAddresses.insert(own) }
      case ZMQ_EVENT_DISCONNECTED:
        closedDescriptors.insert(record.value)
        let address = addresses.removeValue(forKey: record.value)
        // ZeroMQ tells of a failure without its connection. Nobody has spoken by that.
        if peerOfDescriptor[record.value] == nil, !failures.isEmpty {
          hub.note(.strangerRefused(failures.removeFirst(), address: address))
        }
        if let peer = peerOfDescriptor.removeValue(forKey: record.value) {
          hub.note(.peerClosed(.accepted(peer)))
        }
      case ZMQ_EVENT_CLOSED: break
      default:
        if failures.count >= 64 {
          hub.note(.strangerRefused(failures.removeFirst(), address: nil))
        }
        failures.append(handshakeFailure(record))
      }
    }
  }

  /// What the gatekeeper calls a peer that has spoken.
  func caller(_ routingID: [UInt8]) -> String? { speakers[routingID]?.caller }

  /// The IP address from which a peer speaks; `nil` if it has not spoken, or has none.
  func address(of routingID: [UInt8]) -> String? { speakers[routingID]?.address }

  /// Whether a peer speaks from an address of this machine, at which it can be dialed too.
  func isFromHere(_ routingID: [UInt8]) -> Bool {
    address(of: routingID).map(ownAddresses.contains) ?? false
  }
}
