import CZeroMQ
import Tensors

/// A peer that a hub has dialed: the connection to it, a new one whenever that breaks, and what
/// ZeroMQ has not taken yet.
///
/// ZeroMQ would dial again by itself, under the routing id that the broken connection had. A ROUTER
/// that has not noticed yet that this is broken ignores the newcomer for good, without a word to
/// either side: what is sent vanishes. So each connection has an id of its own.
final class DialedSocket {
  let number: UInt32
  let endpoint: String
  private let options: HubOptions
  private let security: HubSecurity.Dialing?
  private let isControl: Bool
  private let context: Context
  /// A routing id that nobody has had.
  private let newRoutingID: () -> String
  /// `nil` for the moment before it is dialed anew.
  private var connection: DialedConnection?
  /// What a connection that broke had brought, as far as it could be saved.
  private var unread: ArraySlice<[Frame]> = []
  /// When to dial anew, monotonic milliseconds.
  private var redial: Int?
  /// How long it was waited for that the last time, milliseconds.
  private var lastPause = 0
  /// When the connection came up, monotonic milliseconds.
  private var connectedAt = 0
  private(set) var queue = SendQueue()
  /// Whether the connection is up, as far as the monitor has told.
  private(set) var isConnected: Bool
  /// Whether somebody has taken the connection, whatever he speaks, and keeps it.
  private(set) var isTaken = false

  var link: Hub.Link { .dialed(number) }

  init(
    number: UInt32, endpoint: String, newRoutingID: @escaping () -> String, options: HubOptions,
    security: HubSecurity.Dialing?, isControl: Bool, context: Context
  ) throws(TransportError) {
    self.number = number
    self.endpoint = endpoint
    self.newRoutingID = newRoutingID
    self.options = options
    self.security = security
    self.isControl = isControl
    self.context = context
    // ZeroMQ has no events on inproc: there a connection is up at once.
    isConnected = endpoint.hasPrefix("inproc://")
    connection = try DialedConnection(
      endpoint, routingID: newRoutingID(), options: options, security: security,
      isControl: isControl, context: context)
  }

  /// The handles to poll: messages, events.
  var handles: (socket: UnsafeMutableRawPointer, monitor: UnsafeMutableRawPointer?)? {
    connection?.handles
  }

  /// Whether there is something to receive that no handle tells of.
  var hasUnread: Bool { !unread.isEmpty }

  func setLinger(_ milliseconds: Int) { connection?.setLinger(milliseconds) }

  /// Sends or queues; false if neither is possible.
  func send(_ frames: [Frame], bound: Int, counting bytes: inout UInt64) -> Bool {
    if queue.isEmpty {
      switch trySend(frames) {
      case .sent:
        bytes += byteCount(frames)
        return true
      case .gone: return false
      case .wouldBlock: break
      }
    }
    return queue.append(frames, bound: bound)
  }

  private func trySend(_ frames: [Frame]) -> Socket.SendResult {
    connection?.send(frames) ?? .wouldBlock
  }

  /// Drops the oldest message that waits to be sent.
  func dropFirst() { queue.removeFirst() }

  /// Drops what waits to be sent.
  func dropQueue() { queue = SendQueue() }

  /// Sends of the queue what ZeroMQ takes.
  func flush(counting bytes: inout UInt64) {
    while let frames = queue.first {
      switch trySend(frames) {
      case .sent: bytes += byteCount(frames)
      case .gone: break
      case .wouldBlock: return
      }
      queue.removeFirst()
    }
  }

  /// The next message, `nil` when there is none.
  func receive(_ hub: Hub) throws(TransportError) -> [Frame]? {
    if let parts = unread.popFirst() {
      // A slice keeps what has been taken from it.
      if unread.isEmpty { unread = [] }
      return parts
    }
    return try connection?.receive(hub, link)
  }

  /// Tells `hub` what the monitor has seen.
  func collectEvents(_ hub: Hub) throws(TransportError) {
    while let record = try connection?.nextEvent() {
      switch record.event {
      case ZMQ_EVENT_CONNECTED: isTaken = true
      case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        isConnected = true
        connectedAt = MonotonicClock.milliseconds()
        hub.note(.connected(link))
      case ZMQ_EVENT_DISCONNECTED:
        // Of one that was never up here the other end may still know the routing id: it has it
        // before its own part of the handshake arrives.
        isTaken = false
        if isConnected { hub.note(.disconnected(link)) }
        try leave(hub)
        isConnected = false
      case ZMQ_EVENT_CONNECT_RETRIED: hub.note(.connectFailed(link))
      default:
        hub.note(.handshakeFailed(link, handshakeFailure(record)))
      }
    }
  }

  /// How soon a broken connection is dialed anew, at first and at most, and the life of one that
  /// makes it soon again, milliseconds: ZeroMQ does the same between attempts.
  private static let (pause, longestPause, life) = (100, 2_000, 2_000)

  /// Ends a connection that broke, before ZeroMQ has dialed it again or soon after.
  private func leave(_ hub: Hub) throws(TransportError) {
    // What is still there: ZeroMQ drops the unread messages of a connection that broke, a moment
    // after it has told of it.
    while let parts = try connection?.receive(hub, link) { unread.append(parts) }
    connection = nil
    let now = MonotonicClock.milliseconds()
    let isShort = !isConnected || now - connectedAt < Self.life
    lastPause = isShort ? min(max(Self.pause, 2 * lastPause), Self.longestPause) : Self.pause
    redial = now + lastPause
  }

  /// Dials anew if it is time for it.
  ///
  /// - Returns: milliseconds until it is, `nil` where there is no need.
  func redialIfDue() -> Int? {
    guard let due = redial else { return nil }
    let left = due - MonotonicClock.milliseconds()
    guard left <= 0 else { return left }
    do throws(TransportError) {
      connection = try DialedConnection(
        endpoint, routingID: newRoutingID(), options: options, security: security,
        isControl: isControl, context: context)
      redial = nil
      return nil
    } catch {
      // Without a descriptor left, for example.
      redial = MonotonicClock.milliseconds() + Self.longestPause
      return Self.longestPause
    }
  }
}
