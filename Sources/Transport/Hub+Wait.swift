import CZeroMQ
import Tensors

extension Hub {
  /// How often a listening socket with a blocked peer is tried again, ms: ZeroMQ says that some
  /// peer of a ROUTER is writable, not which one.
  private static let blockedPeerMilliseconds = 1

  /// Blocks until a message or an event is there, `wakeUp` is raised, a descriptor is readable or
  /// the time is over; sends meanwhile what was queued. May return early for no reason.
  ///
  /// - Parameters:
  ///   - milliseconds: at most this long; 0 only looks.
  ///   - wakeUp: its flag is taken down.
  ///   - extraDescriptors: polled for reading.
  /// - Returns: those of `extraDescriptors` that are readable, or broken.
  /// - Throws: `TransportError` if a socket is unusable.
  package func wait(
    milliseconds: Int, wakeUp: WakeUp?, extraDescriptors: [Int32] = []
  ) throws(TransportError) -> [Int32] {
    checkThread()
    let deadline = MonotonicClock.milliseconds() + max(0, milliseconds)
    flush()
    sendDue()
    while true {
      let redial = dialed.compactMap { $0.redialIfDue() }.min()
      var items = pollItems(wakeUp: wakeUp, extraDescriptors: extraDescriptors)
      var left = max(0, deadline - MonotonicClock.milliseconds())
      if !events.isEmpty || dialed.contains(where: \.hasUnread) { left = 0 }
      if let redial { left = min(left, redial) }
      if let due = delayed.first?.due {
        left = min(left, max(0, due - MonotonicClock.milliseconds()))
      }
      let hasBlockedPeer = listener?.queues.isEmpty == false
      let pause = hasBlockedPeer ? min(left, Self.blockedPeerMilliseconds) : left
      let ready = zmq_poll(&items, Int32(items.count), pause)
      guard ready >= 0 else {
        // A signal: somebody may want to look at what it did. No retry, the caller loops anyway.
        if zmq_errno() == EINTR { return [] }
        throw .last("zmq_poll")
      }
      flush()
      sendDue()
      collectEvents()
      if ready == 0 && pause < left { continue }
      if let wakeUp, let item = items.first(where: { $0.fd == wakeUp.descriptor }),
        item.revents != 0
      {
        wakeUp.clear()
      }
      let extras = items.suffix(extraDescriptors.count)
      return extras.filter { $0.revents != 0 }.map { $0.fd }
    }
  }

  /// The sockets with their monitors, then the wake-up, then the extra descriptors.
  private func pollItems(wakeUp: WakeUp?, extraDescriptors: [Int32]) -> [zmq_pollitem_t] {
    var items: [zmq_pollitem_t] = []
    items.reserveCapacity(2 * dialed.count + 3 + extraDescriptors.count)
    func add(_ socket: UnsafeMutableRawPointer?, _ descriptor: Int32, _ events: Int32) {
      items.append(
        zmq_pollitem_t(socket: socket, fd: descriptor, events: Int16(events), revents: 0))
    }
    func add(
      _ handles: (socket: UnsafeMutableRawPointer, monitor: UnsafeMutableRawPointer?),
      wantsToSend: Bool
    ) {
      add(handles.socket, -1, ZMQ_POLLIN | (wantsToSend ? ZMQ_POLLOUT : 0))
      if let monitor = handles.monitor { add(monitor, -1, ZMQ_POLLIN) }
    }
    if let listener { add(listener.handles, wantsToSend: false) }
    for socket in dialed {
      if let handles = socket.handles { add(handles, wantsToSend: !socket.queue.isEmpty) }
    }
    if let wakeUp { add(nil, wakeUp.descriptor, ZMQ_POLLIN) }
    for descriptor in extraDescriptors { add(nil, descriptor, ZMQ_POLLIN | ZMQ_POLLERR) }
    return items
  }

  /// Sends of all queues what ZeroMQ takes.
  private func flush() {
    guard queuedBytes > 0 || hasEmptyMessagesQueued else { return }
    listener?.flush(counting: &bytesSent)
    for socket in dialed { socket.flush(counting: &bytesSent) }
    queuedBytes = dialed.reduce(0) { $0 + $1.queue.byteCount }
    if let listener { queuedBytes += listener.queues.values.reduce(0) { $0 + $1.byteCount } }
  }

  /// Messages without a byte wait too.
  private var hasEmptyMessagesQueued: Bool {
    listener?.queues.isEmpty == false || dialed.contains { !$0.queue.isEmpty }
  }

  /// Moves what the monitors have seen to `events`.
  func collectEvents() {
    // A monitor that fails has no more to tell; the messages tell the rest.
    try? listener?.collectEvents(self)
    for socket in dialed { try? socket.collectEvents(self) }
  }
}
