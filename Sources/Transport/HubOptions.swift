import CZeroMQ

/// The bounds and times of a hub's sockets.
package struct HubOptions: Hashable, Sendable {
  /// Messages ZeroMQ queues for a peer in each direction before it would block. Larger hides a
  /// slow peer longer and pins more memory; smaller wakes the socket thread more often.
  package var highWaterMark = 64
  /// Messages of one who has dialed in that ZeroMQ holds until they are read; 0, as many as come. With
  /// a bound, a peer that sends ZMTP's own ping, as anybody may, and goes while so many are unread takes
  /// the process along (zeromq/libzmq#4364). What honest peers have under way the cores bound; of
  /// others a few hundred messages are refused, then their connection is cut.
  package var unreadMessages = 0
  /// Largest part a peer may send, bytes: a bulk frame and a margin. ZeroMQ drops the connection
  /// of a peer that announces more (not on inproc).
  package var largestPartBytes = 4 * 1024 * 1024 + 64 * 1024
  /// Most parts of a message; of those with more, nothing is kept.
  package var mostParts = 1 + 1024
  /// Most bytes a hub queues for one peer behind ZeroMQ's own queue.
  package var queuedBytesPerLink = 256 * 1024 * 1024
  /// Whose system takes nothing of what is sent for this long is disconnected, ms.
  package var silenceMilliseconds = 90_000
  /// The same of connections of small messages, which the system of a process that is stopped takes
  /// for hours: nobody but the network loses those. Where a network was away for a while, the system
  /// says what was lost once more only after as long again; a new connection tries every few seconds.
  package var controlUnacknowledgedMilliseconds = 10_000

  package init() {}

  /// Sets what every socket has.
  ///
  /// - Parameter isControl: whether only small messages go over it.
  func apply(to socket: inout Socket, isControl: Bool = false) throws(TransportError) {
    // A count of messages, not bytes: only a backstop behind the credit the cores keep.
    try socket.set(ZMQ_SNDHWM, highWaterMark)
    try socket.set(ZMQ_RCVHWM, highWaterMark)
    // What is still unsent when a link is hung up has a second; -1, the default, waits for ever.
    try socket.set(ZMQ_LINGER, 1_000)
    // Per part; checked by ZeroMQ before it allocates.
    try socket.set(ZMQ_MAXMSGSIZE, int64: Int64(largestPartBytes))
    // Only a completed connection takes messages: otherwise ZeroMQ would swallow them for a peer
    // that is not there, where the hub can neither count nor drop them.
    try socket.set(ZMQ_IMMEDIATE, 1)
    // First try again after 0.1 s, then twice as long each time up to 2 s.
    try socket.set(ZMQ_RECONNECT_IVL, 100)
    try socket.set(ZMQ_RECONNECT_IVL_MAX, 2_000)
    // A host that does not answer at all; the system's own limit is two minutes.
    try socket.set(ZMQ_CONNECT_TIMEOUT, 5_000)
    // Somebody who connects and does not speak ZMTP.
    try socket.set(ZMQ_HANDSHAKE_IVL, 5_000)
    // A vanished host, and connections a NAT has forgotten, the system notices: by what is not
    // acknowledged, and where nothing is under way by asking. Not ZeroMQ's ping: it is answered
    // between whole frames only, and both who sends it and who is sent it abort where a connection
    // fails while more messages than the high-water mark are unread (zeromq/libzmq#4364), as after
    // the process was stopped for a while.
    try socket.set(
      ZMQ_TCP_MAXRT, isControl ? controlUnacknowledgedMilliseconds : silenceMilliseconds)
    try socket.set(ZMQ_TCP_KEEPALIVE, 1)
    try socket.set(ZMQ_TCP_KEEPALIVE_IDLE, 60)
    try socket.set(ZMQ_TCP_KEEPALIVE_INTVL, 10)
    try socket.set(ZMQ_TCP_KEEPALIVE_CNT, 3)
    // Names and addresses of both families.
    try socket.set(ZMQ_IPV6, 1)
    // Peers that connect in the same moment: a whole cluster's cold start.
    try socket.set(ZMQ_BACKLOG, 512)
  }
}
