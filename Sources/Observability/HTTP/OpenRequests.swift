import CMicroHTTPD
import Glibc
import Synchronization

/// The connections of a web server: none is held for long by half a request, or by an answer that
/// nobody takes. libmicrohttpd itself only counts the seconds since the last byte.
///
/// Thread-safe: libmicrohttpd's thread notes what happens, the server's socket thread cuts off.
final class OpenRequests: Sendable {
  /// What a connection is at.
  enum Phase {
    /// Its next request is not whole.
    case asking
    case answering
    /// A stream of events lasts as long as it likes.
    case watching
  }

  private struct Entry {
    let descriptor: Int32
    var phase = Phase.asking
    /// Since when it is at that, milliseconds.
    var since: UInt64
    var isCut = false
  }

  /// A request may take so long, milliseconds: longer than the silence after which a connection is
  /// closed anyway.
  static let requestPatience: UInt64 = 20_000
  /// The same where connections are nearly used up, so that somebody else's turn comes.
  static let crowdedPatience: UInt64 = 2_000
  /// How many are nearly all that there may be.
  static let crowd = 48
  /// An answer may take so long.
  static let answerPatience: UInt64 = 60_000

  private let clock: @Sendable () -> UInt64
  /// By the connection's address.
  private let entries = Mutex<[Int: Entry]>([:])

  init(clock: @escaping @Sendable () -> UInt64) { self.clock = clock }

  /// Notes that a connection is there, or about to be closed.
  func note(_ connection: OpaquePointer?, isOpen: Bool) {
    guard let connection else { return }
    let descriptor = isOpen ? crosscut_http_socket(connection) : -1
    let now = clock()
    let number = Int(bitPattern: connection)
    entries.withLock {
      $0[number] = descriptor >= 0 ? Entry(descriptor: descriptor, since: now) : nil
    }
  }

  /// Notes what a connection is at now.
  func set(_ connection: OpaquePointer?, to phase: Phase) {
    guard let connection else { return }
    let now = clock()
    let number = Int(bitPattern: connection)
    entries.withLock {
      // The handler is called more than once for a request.
      guard let entry = $0[number], entry.phase != phase else { return }
      $0[number]?.phase = phase
      $0[number]?.since = now
    }
  }

  /// Ends the connections whose time is over; libmicrohttpd then notices and closes them.
  func cutOverdue() {
    let now = clock()
    entries.withLock { entries in
      let waiting = entries.count >= Self.crowd ? Self.crowdedPatience : Self.requestPatience
      for (number, entry) in entries where !entry.isCut {
        let patience: UInt64? =
          switch entry.phase {
          case .asking: waiting
          case .answering: Self.answerPatience
          case .watching: nil
          }
        guard let patience, now - min(now, entry.since) >= patience else { continue }
        entries[number]?.isCut = true
        // Within the lock: before its descriptor is closed, and may be another's, this hears of it.
        shutdown(entry.descriptor, Int32(SHUT_RDWR))
      }
    }
  }
}
