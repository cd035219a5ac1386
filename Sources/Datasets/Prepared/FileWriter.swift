import Glibc

/// Files that are whole or not there.
///
final class FileWriter {
  let path: String
  private let descriptor: CInt
  private var isOpen = true

  /// Makes a file, or empties it.
  init(path: String, flags: CInt = O_CREAT | O_TRUNC) throws(DatasetError) {
    self.path = path
    descriptor = open(path, O_WRONLY | O_CLOEXEC | flags, 0o666)
    guard descriptor >= 0 else {
      throw DatasetError(path, "cannot be made: \(Files.systemError())")
    }
  }

  deinit { if isOpen { Glibc.close(descriptor) } }

  /// Writes all of the bytes.
  func write(_ bytes: [UInt8]) throws(DatasetError) {
    var code: CInt = 0
    bytes.withUnsafeBytes { buffer in
      var done = 0
      while done < buffer.count {
        let wrote = Glibc.write(
          descriptor, buffer.baseAddress.unsafelyUnwrapped + done, buffer.count - done)
        if wrote < 0, errno == EINTR { continue }
        guard wrote > 0 else {
          code = wrote < 0 ? errno : ENOSPC
          return
        }
        done += wrote
      }
    }
    guard code == 0 else { throw Self.error(path, code) }
  }

  /// Waits until the bytes are on the disk, and closes.
  func close() throws(DatasetError) {
    let code = fsync(descriptor) == 0 ? 0 : errno
    isOpen = false
    let closing = Glibc.close(descriptor) == 0 ? 0 : errno
    guard code == 0, closing == 0 else { throw Self.error(path, code == 0 ? closing : code) }
  }

  private static func error(_ path: String, _ code: CInt) -> DatasetError {
    let text = String(cString: strerror(code))
    return DatasetError(
      path,
      code == ENOSPC || code == EDQUOT
        ? "cannot be written: \(text); what is whole is kept: free some space and run the same "
          + "command again" : "cannot be written: \(text)")
  }

  /// Puts a file in a path's place at once: whoever looks sees the old one or the new one.
  static func replace(_ path: String, with bytes: [UInt8]) throws(DatasetError) {
    let temporary = path + ".part"
    do throws(DatasetError) {
      let file = try FileWriter(path: temporary)
      try file.write(bytes)
      try file.close()
    } catch {
      unlink(temporary)
      throw error
    }
    guard rename(temporary, path) == 0 else {
      throw DatasetError(path, "cannot be replaced: \(Files.systemError())")
    }
  }

  /// Adds bytes to the end of a file.
  static func append(_ bytes: [UInt8], to path: String) throws(DatasetError) {
    let file = try FileWriter(path: path, flags: O_APPEND)
    try file.write(bytes)
    try file.close()
  }
}

/// A tar archive that gets its name when it is whole.
final class ShardWriter {
  private let path: String
  private let file: FileWriter
  private var buffer: [UInt8] = []
  private var written = 0
  private var isFinished = false

  /// Bytes that are gathered before a call of the system: more save calls.
  private static let bufferBytes = 1 << 20

  init(path: String) throws(DatasetError) {
    self.path = path
    file = try FileWriter(path: path + ".part")
    buffer.reserveCapacity(2 * Self.bufferBytes)
  }

  deinit { if !isFinished { unlink(file.path) } }

  /// Adds a member.
  ///
  /// - Returns: the offset of its contents.
  func add(name: String, _ contents: [UInt8]) throws(DatasetError) -> Int {
    buffer += TarArchive.header(name: name, size: contents.count)
    let offset = written + buffer.count
    buffer += contents
    buffer += repeatElement(0, count: TarArchive.padding(after: contents.count))
    if buffer.count >= Self.bufferBytes { try flush() }
    return offset
  }

  /// Writes the archive's end and gives it its name.
  ///
  /// - Returns: its bytes.
  func finish() throws(DatasetError) -> Int {
    buffer += TarArchive.end
    try flush()
    try file.close()
    guard rename(file.path, path) == 0 else {
      throw DatasetError(path, "cannot be named: \(Files.systemError())")
    }
    isFinished = true
    return written
  }

  private func flush() throws(DatasetError) {
    try file.write(buffer)
    written += buffer.count
    buffer.removeAll(keepingCapacity: true)
  }
}
