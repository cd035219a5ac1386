import CZeroMQ
import Glibc
package import Tensors

/// Everything one socket thread owns: one listening socket at most, and the connections it dialed.
///
/// Messages are lists of frames; who sent one is a `Link`. Nothing here blocks but `wait` (as long
/// as it is told) and `close`. Order is kept per link. Delivery is not promised: a connection that
/// breaks takes with it what ZeroMQ held, `send` only says that the message is on its way. Confined
/// to the thread that made it; a debug build traps elsewhere.
package final class Hub {
  /// A peer to whom messages can be sent.
  package enum Link: Hashable, Sendable {
    /// Somebody this hub has dialed, by the number `dial` gave it.
    case dialed(UInt32)
    /// Somebody who dialed this hub, by the routing id it came with.
    case accepted([UInt8])
  }

  /// What happened to a connection; in no order with the messages it carried.
  package enum Event: Hashable, Sendable {
    /// A dialed connection is up, for the first time or again. On inproc: at once.
    case connected(Link)
    /// A dialed connection is down; the hub dials again by itself. Never on inproc.
    case disconnected(Link)
    /// An attempt to dial failed; ZeroMQ tries again by itself.
    case connectFailed(Link)
    /// The connection by which that peer last spoke is closed; what it still sent may come after.
    /// A hint, to be probed: after a quick change of connections it may name one that had closed
    /// before. Never on inproc, and never of one who has not said anything.
    case peerClosed(Link)
    /// Somebody at the listening socket, from `address`, was sent away or does not speak the
    /// protocol.
    case strangerRefused(HandshakeFailure, address: String?)
    /// The one dialed answers, but not as it should. Where ZeroMQ tries again by itself
    /// (`hungUp`), this comes again.
    case handshakeFailed(Link, HandshakeFailure)
    /// A message of more parts than there may be; it has been dropped.
    case tooManyParts(Link)
  }

  let context: Context
  package let options: HubOptions
  private let security: HubSecurity
  private let owner = pthread_self()
  private let identity: String
  /// In the routing ids of all that this hub dials: they are seen to belong together.
  private let dialer = Hub.hexadecimal(.random(in: .min ... .max))
  var listener: Listener?
  var dialed: [DialedSocket] = []
  private var lastDialed: UInt32 = 0
  /// Where `receive` looks next, so that no socket starves another.
  private var nextSocket = 0
  var events: [Event] = []

  /// Where peers can dial, with the port the system picked; `nil` without a listening socket.
  ///
  /// A wildcard address stays one ("tcp://[::]:41873"): which of the machine's names the peers
  /// know is not known here.
  package let boundEndpoint: String?
  /// Bytes of all parts given to ZeroMQ.
  package internal(set) var bytesSent: UInt64 = 0
  /// Bytes of all parts received, dropped ones too.
  package internal(set) var bytesReceived: UInt64 = 0
  /// Bytes that wait in this hub for ZeroMQ to take them.
  package internal(set) var queuedBytes = 0
  /// What a drill does to messages that are sent, and until when, monotonic milliseconds.
  var impairment: (effect: Impairment, until: Int)?
  /// Whether somebody has been told that the last drill is over.
  var isImpairmentTold = true
  /// Messages that a drill keeps back, oldest first, and their bytes.
  var delayed: [DelayedMessage] = []
  var delayedBytes = 0
  /// Messages that drills have lost, cut or kept back.
  package internal(set) var impairedMessages: UInt64 = 0
  /// Messages received and not handed on: too many parts, or from a peer that was hung up on.
  package internal(set) var droppedMessages: UInt64 = 0

  /// - Parameters:
  ///   - listen: `tcp://*:0` and the like let the system pick a port; `nil` for a hub that only
  ///     dials. An ipc path is locked as long as the hub listens.
  ///   - identity: what dialed peers see at the start of this hub's routing ids, to tell nodes
  ///     apart when looking at traffic; the rest of an id is random.
  ///   - security: keys, and who is let in.
  /// - Throws: `TransportError` that says what is wrong with the endpoint.
  package init(
    context: Context, listen endpoint: String?, identity: String? = nil,
    options: HubOptions = HubOptions(), security: HubSecurity = HubSecurity()
  ) throws(TransportError) {
    self.context = context
    self.options = options
    self.security = security
    // ZeroMQ takes at most 255 bytes; the random part has 33.
    self.identity = String(decoding: (identity ?? "crosscut").utf8.prefix(200), as: UTF8.self)
    if let endpoint {
      let listener = try Listener(
        endpoint, options: options, security: security.listening, context: context)
      self.listener = listener
      boundEndpoint = listener.boundEndpoint
    } else {
      boundEndpoint = nil
    }
  }

  deinit { closeSockets(lingerMilliseconds: 0) }

  /// Dials `endpoint`; the answer comes as an event, and messages may be sent meanwhile.
  ///
  /// - Parameters:
  ///   - security: instead of the hub's own.
  ///   - isControl: whether only small messages go over it, and silence is noticed sooner.
  /// - Throws: `TransportError` for an endpoint that can never work. One that does not answer
  ///   yet is dialed until it does.
  package func dial(
    _ endpoint: String, with security: HubSecurity.Dialing? = nil, isControl: Bool = false
  ) throws(TransportError) -> Link {
    checkThread()
    let number = lastDialed + 1
    // Random, so that a connection half dead cannot lock out the one that replaces it.
    let newRoutingID = { [identity, dialer] in
      "\(identity) \(dialer)\(Self.hexadecimal(.random(in: .min ... .max)))"
    }
    let socket = try DialedSocket(
      number: number, endpoint: endpoint, newRoutingID: newRoutingID,
      options: options, security: security ?? self.security.dialing, isControl: isControl,
      context: context)
    lastDialed = number
    dialed.append(socket)
    if socket.isConnected { note(.connected(socket.link)) }
    return socket.link
  }

  /// Ends a link: what is queued here for it is dropped, what ZeroMQ has of it has a second to
  /// leave. An accepted peer's connection is not closed (ZeroMQ has no call for it): it is not listened
  /// to any more, and is told nothing; who talks on is cut off as by `noteRefused`.
  package func hangUp(_ link: Link) {
    checkThread()
    switch link {
    case .dialed(let number):
      guard let index = dialed.firstIndex(where: { $0.number == number }) else { return }
      queuedBytes -= dialed[index].queue.byteCount
      dialed.remove(at: index)
    case .accepted(let routingID):
      guard let listener else { return }
      queuedBytes -= listener.hangUp(routingID)
    }
  }

  /// Tells that a message of a peer was refused: of one that dialed in a few hundred are borne with,
  /// then its connection is cut.
  package func noteRefused(_ link: Link) throws(TransportError) {
    checkThread()
    guard case .accepted(let routingID) = link, let listener else { return }
    queuedBytes -= try listener.noteRefused(routingID, self)
  }

  /// Drops what is queued here for a link that stays; what ZeroMQ has of it goes on its way.
  package func dropQueue(of link: Link) {
    checkThread()
    switch link {
    case .dialed(let number):
      guard let index = dialed.firstIndex(where: { $0.number == number }) else { return }
      queuedBytes -= dialed[index].queue.byteCount
      dialed[index].dropQueue()
    case .accepted(let routingID):
      queuedBytes -= listener?.dropQueue(of: routingID) ?? 0
    }
  }

  /// Sends what is queued here for one link by another instead, as far as that takes it; what ZeroMQ
  /// has of it stays there.
  package func moveQueue(from link: Link, to other: Link) {
    checkThread()
    guard case .dialed(let number) = link,
      let socket = dialed.first(where: { $0.number == number })
    else { return }
    let before = socket.queue.byteCount
    while let frames = socket.queue.first, dispatch(frames, to: other) { socket.dropFirst() }
    queuedBytes += socket.queue.byteCount - before
  }

  /// Sends a message of one or more frames; never blocks. The frames are kept until ZeroMQ has
  /// written them out, which may be long after.
  ///
  /// - Parameter sparing: sent as it is whatever drill is under way.
  /// - Returns: false if the link is gone, or ZeroMQ would block and the link's queue is full:
  ///   then nothing of the message is sent. True says nothing of its arrival.
  package func send(_ frames: [Frame], to link: Link, sparing: Bool = false) -> Bool {
    checkThread()
    precondition(!frames.isEmpty, "a message without a frame to \(link)")
    guard !sparing, impairment != nil || !delayed.isEmpty else { return dispatch(frames, to: link) }
    switch impaired(frames, to: link) {
    case .goes(let frames): return dispatch(frames, to: link)
    case .stays: return true
    case .refused: return false
    }
  }

  func dispatch(_ frames: [Frame], to link: Link) -> Bool {
    let before = queuedBytes(to: link)
    defer { queuedBytes += queuedBytes(to: link) - before }
    switch link {
    case .dialed(let number):
      guard let socket = dialed.first(where: { $0.number == number }) else { return false }
      return socket.send(frames, bound: options.queuedBytesPerLink, counting: &bytesSent)
    case .accepted(let routingID):
      guard let listener else { return false }
      return listener.send(
        frames, to: routingID, bound: options.queuedBytesPerLink, counting: &bytesSent)
    }
  }

  /// The next whole message of any link, `nil` when there is none; the sockets take turns.
  ///
  /// - Throws: `TransportError` if a socket is unusable.
  package func receive() throws(TransportError) -> (link: Link, parts: [Frame])? {
    checkThread()
    let count = dialed.count + 1
    for _ in 0..<count {
      let index = nextSocket % count
      // Moved on whether or not there is something: one message a socket and turn.
      nextSocket = (index + 1) % count
      if index == 0 {
        if let listener, let message = try listener.receive(self) { return message }
      } else if let parts = try dialed[index - 1].receive(self) {
        return (dialed[index - 1].link, parts)
      }
    }
    return nil
  }

  /// What `HubSecurity.Listening.admit` called who dialed this hub, as of its last message; `nil` of
  /// anybody else, and of everybody where nothing is encrypted.
  package func caller(_ link: Link) -> String? {
    checkThread()
    guard case .accepted(let routingID) = link else { return nil }
    return listener?.caller(routingID)
  }

  /// Whether somebody has taken a connection that this hub has dialed, whatever he speaks.
  package func isTaken(_ link: Link) -> Bool {
    checkThread()
    guard case .dialed(let number) = link else { return false }
    return dialed.first { $0.number == number }?.isTaken ?? false
  }

  /// The IP address from which a peer that dialed this hub last spoke, if that is known.
  package func address(_ link: Link) -> String? {
    checkThread()
    guard case .accepted(let routingID) = link else { return nil }
    return listener?.address(of: routingID)
  }

  /// Whether who dialed this hub is on the same machine: by a socket's path, within the process, from a
  /// loopback address, or from the very address that it has dialed.
  package func isLocal(_ link: Link) -> Bool {
    checkThread()
    guard case .accepted(let routingID) = link, let listener else { return false }
    guard listener.boundEndpoint.hasPrefix("tcp://") else { return true }
    guard let address = address(link) else { return false }
    return address == "::1" || address.hasPrefix("127.") || listener.isFromHere(routingID)
  }

  /// Whether two connections that were accepted have been dialed by the same hub, as their routing
  /// ids say: only those that it dials know what these have in common.
  package static func haveSameDialer(_ one: Link, _ other: Link) -> Bool {
    guard case .accepted(let first) = one, case .accepted(let second) = other,
      first.count == second.count, first.count > 2 * randomDigits
    else { return false }
    return first.dropLast(randomDigits) == second.dropLast(randomDigits)
  }

  /// Of each of the two random parts of a routing id.
  private static let randomDigits = 16

  private static func hexadecimal(_ number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: randomDigits - digits.count) + digits
  }

  /// What happened to connections since the last call, oldest first.
  package func takeEvents() -> [Event] {
    checkThread()
    collectEvents()
    defer { events = [] }
    return events
  }

  /// Ends everything: what is queued has `lingerMilliseconds` to leave. Further calls do nothing.
  ///
  /// Blocks while messages are queued in this hub, and for a moment until an ipc path is free. The
  /// rest ZeroMQ sends in the background; `Context.terminate` waits for it.
  package func close(lingerMilliseconds: Int) {
    checkThread()
    let deadline = MonotonicClock.milliseconds() + max(0, lingerMilliseconds)
    while queuedBytes > 0 {
      let left = deadline - MonotonicClock.milliseconds()
      // With events that nobody has taken it would not wait.
      events = []
      guard left > 0, (try? wait(milliseconds: min(left, 10), wakeUp: nil)) != nil else { break }
    }
    closeSockets(lingerMilliseconds: max(0, deadline - MonotonicClock.milliseconds()))
  }

  private func closeSockets(lingerMilliseconds: Int) {
    for socket in dialed { socket.setLinger(lingerMilliseconds) }
    dialed = []
    listener?.close(lingerMilliseconds: lingerMilliseconds)
    listener = nil
    queuedBytes = 0
  }

  /// Those of `queuedBytes` that are for one link.
  package func queuedBytes(to link: Link) -> Int {
    switch link {
    case .dialed(let number): dialed.first { $0.number == number }?.queue.byteCount ?? 0
    case .accepted(let routingID): listener?.queues[routingID]?.byteCount ?? 0
    }
  }

  /// Keeps an event, unless nobody has asked for the last thousands.
  func note(_ event: Event) {
    // Who is not told of a closed connection would keep what it has of that peer for ever.
    if case .peerClosed = event { return events.append(event) }
    if events.count < 4096 { events.append(event) }
  }

  func checkThread() {
    assert(pthread_equal(owner, pthread_self()) != 0, "a hub is used off its thread")
  }
}
