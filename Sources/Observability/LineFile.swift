import Glibc

/// A file to which whole lines are appended, each with one write.
///
/// Not thread-safe: its owner guards it.
struct LineFile: ~Copyable {
  private let descriptor: CInt
  private let closes: Bool
  /// Part of a line got out before a write failed: the next line starts on a new one.
  private var isMidLine = false
  /// A terminal or a pipe, whose reader may have stopped reading.
  private let mayBlock: Bool

  /// Opens `path` for appending, and makes it if it is not there.
  init(path: String) throws(ObservabilityError) {
    let opened = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
    guard opened >= 0 else {
      throw ObservabilityError("\(path): cannot be opened: \(String(cString: strerror(errno)))")
    }
    descriptor = opened
    closes = true
    mayBlock = false
    // Whoever wrote before may have been killed in the middle of a line.
    var last: UInt8 = 0x0A
    let end = lseek(opened, 0, SEEK_END)
    if end > 0 { _ = pread(opened, &last, 1, end - 1) }
    isMidLine = last != 0x0A
  }

  /// Uses a descriptor that stays its opener's.
  init(descriptor: CInt) {
    self.descriptor = descriptor
    closes = false
    var status = stat()
    mayBlock = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT != S_IFREG
  }

  /// Whether a line can be written without waiting for somebody to read for longer than that.
  func hasRoom(within milliseconds: CInt) -> Bool {
    guard mayBlock else { return true }
    var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    return poll(&entry, 1, milliseconds) > 0
  }

  deinit { if closes { close(descriptor) } }

  /// Appends a line and its line feed, or bytes as they are.
  ///
  /// - Returns: `nil`, or the system's words for what went wrong.
  mutating func append(_ line: [UInt8], lineFeed: Bool = true) -> String? {
    let bytes = lineFeed ? (isMidLine ? [0x0A] : []) + line + [0x0A] : line
    var done = 0
    while done < bytes.count {
      let wrote = bytes.withUnsafeBytes { buffer in
        write(descriptor, buffer.baseAddress.unsafelyUnwrapped + done, buffer.count - done)
      }
      if wrote < 0 {
        if errno == EINTR { continue }
        if done > 0 { isMidLine = true }
        return String(cString: strerror(errno))
      }
      done += wrote
    }
    isMidLine = false
    return nil
  }
}
