import CLinux
import Glibc

/// A new file of a known size, written to in any order, that is on the disk once `finish` has
/// returned.
final class DurableFile {
  let path: String
  private var descriptor: Int32
  private let diskIsFull: () -> Bool

  /// - Parameters:
  ///   - bytes: its size. Room for it is taken now where the file system can, so that a disk that is
  ///     too small is known before there is anything to write.
  ///   - diskIsFull: whether to fail as on a full disk, asked at each write.
  /// - Throws: if it cannot be made, also because it is already there.
  init(
    creating path: String, bytes: Int, diskIsFull: @escaping () -> Bool = { false }
  ) throws(CheckpointError) {
    self.path = path
    self.diskIsFull = diskIsFull
    descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .system("cannot be made", path) }
    if diskIsFull() { throw full() }
    // Where that cannot be, a full disk shows when it is written to.
    guard bytes == 0 || crosscut_reserve(descriptor, UInt64(bytes)) == 0 else {
      throw .system("cannot be written", path)
    }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Writes bytes from position `offset` on.
  func write(_ content: UnsafeRawBufferPointer, at offset: Int) throws(CheckpointError) {
    guard let start = content.baseAddress else { return }
    if diskIsFull() { throw full() }
    var done = 0
    while done < content.count {
      let count = pwrite(descriptor, start + done, content.count - done, off_t(offset + done))
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

  /// Waits until the disk has everything; the file cannot be written to any more.
  func finish() throws(CheckpointError) {
    // Never tried again: after a failed fsync the kernel may drop the pages and call the next good.
    guard fsync(descriptor) == 0 else { throw .system("cannot be synced to the disk", path) }
    let closing = descriptor
    descriptor = -1
    // close() may report a delayed write error (NFS); the descriptor is gone either way.
    guard close(closing) == 0 else { throw .system("cannot be closed", path) }
  }

  private func full() -> CheckpointError {
    errno = ENOSPC
    return .system("cannot be written", path)
  }
}
