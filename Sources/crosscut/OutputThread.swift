import Glibc
import Synchronization
import Transport

/// Lines for a reader who may have stopped reading, as a terminal after Ctrl-S or a hung ssh: they are
/// written by a thread of their own, so that their owner never waits.
final class OutputThread: Sendable {
  /// Most texts that wait; more are left out.
  private static let capacity = 1000
  /// How long the end waits for a reader who takes nothing, and how often a disk that takes nothing is
  /// asked again, milliseconds.
  static let patience = 5000
  static let pause: Int32 = 1000

  /// What the thread shares with its owner.
  private final class Shared: Sendable {
    let texts: Mailbox<String>
    let done: Mailbox<Bool>
    /// Bytes that were taken so far.
    let taken = Atomic<Int>(0)
    /// Whether the reader has left for good.
    let isGone = Atomic<Bool>(false)

    init() throws(TransportError) {
      texts = try Mailbox(capacity: OutputThread.capacity)
      done = try Mailbox(capacity: 1)
    }
  }

  private let shared: Shared
  private let thread: OwnedThread

  /// Begins a thread, which `finish` has to end.
  ///
  /// - Parameters:
  ///   - pause: how often a disk that takes nothing is asked again, milliseconds.
  ///   - write: the system's call; tests play a disk.
  init(
    _ descriptor: Int32, pause: Int32 = OutputThread.pause,
    write: @escaping @Sendable (Int32, UnsafeRawPointer?, Int) -> Int = { Glibc.write($0, $1, $2) }
  ) throws(TransportError) {
    let shared = try Shared()
    self.shared = shared
    thread = try OwnedThread(name: "output") {
      while let text = shared.texts.take() {
        guard !shared.isGone.load(ordering: .relaxed) else { continue }
        Self.put(Array(text.utf8), descriptor, shared, pause, write)
      }
      shared.done.post(true)
    }
  }

  /// Writes a text in its turn.
  ///
  /// - Parameter isPassing: whether it is worth nothing later: it is left out where others wait.
  /// - Returns: whether it will be written.
  @discardableResult
  func write(_ text: String, isPassing: Bool = false) -> Bool {
    guard !isPassing || shared.texts.count == 0 else { return false }
    return shared.texts.post(text)
  }

  /// Ends the thread once all is written, or nothing has been taken for some time: then it stays
  /// where it is, and goes with the process.
  func finish(patience: Int = OutputThread.patience) {
    shared.texts.close()
    var (waited, taken) = (0, shared.taken.load(ordering: .relaxed))
    while shared.done.take(milliseconds: 50) == nil {
      let now = shared.taken.load(ordering: .relaxed)
      waited = now == taken ? waited + 50 : 0
      taken = now
      guard waited < patience else {
        _ = Unmanaged.passRetained(thread)
        return
      }
    }
    thread.join()
  }

  /// Writes all of a text, however long that takes. What a full disk does not take is tried again;
  /// only a reader who has gone does not come back.
  private static func put(
    _ bytes: [UInt8], _ descriptor: Int32, _ shared: Shared, _ pause: Int32,
    _ write: (Int32, UnsafeRawPointer?, Int) -> Int
  ) {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { buffer in
        write(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done)
      }
      if count > 0 {
        done += count
        shared.taken.add(count, ordering: .relaxed)
        continue
      }
      // A disk that takes nothing says no reason.
      switch count == 0 ? ENOSPC : errno {
      case EINTR: continue
      case EPIPE, EBADF:
        shared.isGone.store(true, ordering: .relaxed)
        return
      case EAGAIN:
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&entry, 1, pause)
      default: poll(nil, 0, pause)
      }
    }
  }
}
