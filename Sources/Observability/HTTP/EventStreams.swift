import CMicroHTTPD
import Synchronization

/// The open streams of server-sent events.
///
/// A stream with nothing to say is suspended, and so costs nothing; `wake` resumes all of them. A
/// slow client gets the newest status when it is ready for one, not all that it has missed: nothing
/// piles up.
final class EventStreams: Sendable {
  private struct State {
    var streams: [ObjectIdentifier: EventStream] = [:]
    /// Suspended connections.
    // libmicrohttpd's own; touched under the lock only, and removed before they end.
    nonisolated(unsafe) var suspended: [ObjectIdentifier: OpaquePointer] = [:]
    var isClosing = false
  }

  /// Watchers at the same time.
  static let most = 32
  /// What libmicrohttpd asks for at once.
  static let blockBytes = 16 * 1024

  let board: StatusBoard
  private let state = Mutex(State())

  init(board: StatusBoard) { self.board = board }

  var isEmpty: Bool { state.withLock { $0.streams.isEmpty } }

  /// A stream over the connection, or `nil` if there are too many.
  func open(_ connection: OpaquePointer) -> EventStream? {
    state.withLock { state in
      guard state.streams.count < Self.most, !state.isClosing else { return nil }
      let stream = EventStream(self, connection)
      state.streams[ObjectIdentifier(stream)] = stream
      return stream
    }
  }

  /// Resumes the streams that wait.
  func wake() {
    state.withLock { state in
      for connection in state.suspended.values { MHD_resume_connection(connection) }
      state.suspended.removeAll(keepingCapacity: true)
    }
  }

  /// Has every stream end after what it has to say.
  func close() {
    state.withLock { $0.isClosing = true }
    wake()
  }

  /// Called on libmicrohttpd's thread by a stream that has nothing to say after `version`.
  ///
  /// - Returns: false if there is something now, or the end.
  func suspend(_ stream: EventStream, after version: UInt64) -> Bool {
    state.withLock { state in
      // Within the lock: a snapshot that comes between the look and the sleep would wake nobody.
      guard !state.isClosing, board.snapshot.version == version else { return false }
      MHD_suspend_connection(stream.connection)
      state.suspended[ObjectIdentifier(stream)] = stream.connection
      return true
    }
  }

  var isClosing: Bool { state.withLock { $0.isClosing } }

  func remove(_ stream: EventStream) {
    state.withLock { state in
      state.streams[ObjectIdentifier(stream)] = nil
      state.suspended[ObjectIdentifier(stream)] = nil
    }
  }
}

/// One client's stream; all but `init` runs on libmicrohttpd's thread.
final class EventStream: @unchecked Sendable {
  // Confined to libmicrohttpd's one thread; the registry only holds it.
  let connection: OpaquePointer
  private let streams: EventStreams
  private var pending: ArraySlice<UInt8> = Array("retry: 2000\n\n".utf8)[...]
  private var version: UInt64 = 0

  init(_ streams: EventStreams, _ connection: OpaquePointer) {
    self.streams = streams
    self.connection = connection
  }

  static func of(_ context: UnsafeMutableRawPointer?) -> EventStream {
    guard let context else { preconditionFailure("libmicrohttpd lost a stream") }
    return Unmanaged<EventStream>.fromOpaque(context).takeUnretainedValue()
  }

  /// Fills a block: 0 with the connection suspended, or -1 at the end.
  func read(into target: UnsafeMutablePointer<CChar>?, _ room: Int) -> Int {
    guard let target, room > 0 else { return 0 }
    while pending.isEmpty {
      let snapshot = streams.board.snapshot
      if snapshot.version > version {
        version = snapshot.version
        pending = EventStream.event("status", id: version, snapshot.record.json())[...]
      } else if streams.isClosing {
        return -1
      } else if streams.suspend(self, after: version) {
        return 0
      }
    }
    let count = min(room, pending.count)
    pending.prefix(count).withUnsafeBytes { source in
      UnsafeMutableRawBufferPointer(start: target, count: count).copyMemory(from: source)
    }
    pending.removeFirst(count)
    return count
  }

  /// The connection is over.
  func end() {
    streams.remove(self)
    Unmanaged.passUnretained(self).release()
  }

  /// One event; the data has no line feed, as JSON here never has.
  static func event(_ name: String, id: UInt64, _ data: [UInt8]) -> [UInt8] {
    Array("event: \(name)\nid: \(id)\ndata: ".utf8) + data + [0x0A, 0x0A]
  }
}
