import Glibc

/// A new file that is on the disk once `finish` has returned; its checksum is taken on the way.
final class DurableFile {
  private let path: String
  private var descriptor: Int32
  private var bytes: UInt64 = 0
  private var checksum = Checksum()
  private let diskIsFull: () -> Bool

  /// - Parameter diskIsFull: whether to fail as on a full disk, asked at each write.
  /// - Throws: if it cannot be made, also because it is already there.
  init(
    creating path: String, diskIsFull: @escaping () -> Bool = { false }
  ) throws(CheckpointError) {
    self.path = path
    self.diskIsFull = diskIsFull
    descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .system("cannot be made", path) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Appends bytes.
  func write(_ content: UnsafeRawBufferPointer) throws(CheckpointError) {
    // In pieces that are still in the cache when the kernel copies what the checksum has read.
    let piece = 1 << 18
    var start = 0
    while start < content.count {
      let end = min(start + piece, content.count)
      let part = UnsafeRawBufferPointer(rebasing: content[start..<end])
      checksum.add(part)
      try writeAll(part)
      start = end
    }
    bytes += UInt64(content.count)
  }

  /// Waits until the disk has everything; the file cannot be written to any more.
  ///
  /// - Returns: size and CRC-32 of what was to be written.
  func finish() throws(CheckpointError) -> (bytes: UInt64, crc32: String) {
    // Never tried again: after a failed fsync the kernel may drop the pages and call the next good.
    guard fsync(descriptor) == 0 else { throw .system("cannot be synced to the disk", path) }
    let closing = descriptor
    descriptor = -1
    // close() may report a delayed write error (NFS); the descriptor is gone either way.
    guard close(closing) == 0 else { throw .system("cannot be closed", path) }
    return (bytes, checksum.hexadecimal)
  }

  private func writeAll(_ content: UnsafeRawBufferPointer) throws(CheckpointError) {
    guard let start = content.baseAddress else { return }
    var done = 0
    if diskIsFull() {
      errno = ENOSPC
      throw .system("cannot be written", path)
    }
    while done < content.count {
      let count = Glibc.write(descriptor, start + done, content.count - done)
      if count < 0 {
        if errno == EINTR { continue }
        throw .system("cannot be written", path)
      }
      guard count > 0 else {
        throw CheckpointError(path: path, reason: "cannot be written: the disk took nothing")
      }
      done += count
    }
  }
}
