package import Glibc

/// A file that is written to, in any order, and is on the disk once `finish` has returned.
///
/// Its name is not: see `AtomicFile`, or `FolderNames.sync`.
package final class DurableFile {
  /// What becomes of a file that is there already.
  package enum Opening: Hashable, Sendable {
    /// It must not be there.
    case new
    /// It loses what it has.
    case emptied
    /// It must be there, and is written to behind its end.
    case extended
  }

  package let path: String
  private var descriptor: CInt
  /// Where `append` goes on.
  private var end = 0
  private let calls: FileCalls

  /// Opens a file to be written to.
  ///
  /// - Parameters:
  ///   - permissions: of a file that is made, less what the process withholds (umask).
  ///   - bytes: its size, if that is known. Room for it is taken now where the file system can, so
  ///     that a disk that is too small is known before there is anything to write.
  package init(
    _ path: String, _ opening: Opening, permissions: mode_t = 0o666, reserving bytes: Int = 0,
    calls: FileCalls = FileCalls()
  ) throws(FileFailure) {
    self.path = path
    self.calls = calls
    let flags =
      switch opening {
      case .new: O_CREAT | O_EXCL
      case .emptied: O_CREAT | O_TRUNC
      case .extended: CInt(0)
      }
    descriptor = open(path, O_WRONLY | O_CLOEXEC | flags, permissions)
    guard descriptor >= 0 else { throw FileFailure(.create, path) }
    if opening == .extended {
      end = Int(lseek(descriptor, 0, SEEK_END))
      guard end >= 0 else { throw FileFailure(.create, path) }
    }
    // Where that cannot be, a full disk shows when it is written to.
    guard bytes == 0 || calls.reserve(descriptor, bytes) == 0 else {
      throw FileFailure(.write, path)
    }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Writes bytes behind those that were appended last.
  package func append(_ content: UnsafeRawBufferPointer) throws(FileFailure) {
    try write(content, at: end)
    end += content.count
  }

  /// Writes bytes from position `offset` on.
  package func write(
    _ content: UnsafeRawBufferPointer, at offset: Int
  ) throws(FileFailure) {
    guard let start = content.baseAddress else { return }
    var done = 0
    while done < content.count {
      // Linux writes at most 2 GiB - 4 KiB at once and says how much.
      let count = calls.write(descriptor, start + done, content.count - done, offset + done)
      if count < 0, errno == EINTR { continue }
      guard count != 0 else { throw FileFailure(.write, path, code: ENOSPC) }
      guard count > 0 else { throw FileFailure(.write, path) }
      done += count
    }
  }

  /// Gives the file the owner, the group and the permissions of another, as far as that is allowed;
  /// everybody's are left out.
  func takeRights(of other: String) {
    var status = stat()
    guard stat(other, &status) == 0 else { return }
    // Who is not root gives nothing away. A group that cannot be had must not be replaced by another
    // that could then read the file.
    guard
      fchown(descriptor, status.st_uid, status.st_gid) == 0
        || fchown(descriptor, uid_t.max, status.st_gid) == 0
    else { return }
    fchmod(descriptor, status.st_mode & (S_IRWXU | S_IRWXG))
  }

  /// Waits until the disk has everything; the file cannot be written to any more.
  package func finish() throws(FileFailure) {
    // Never tried again: after a failed fsync the kernel may drop the pages and call the next good.
    guard calls.sync(descriptor) == 0 else { throw FileFailure(.sync, path) }
    let closing = descriptor
    descriptor = -1
    // close() may report a delayed write error (NFS); the descriptor is gone either way.
    guard close(closing) == 0 else { throw FileFailure(.close, path) }
  }
}

extension DurableFile {
  /// Writes a small file, or adds to it, and waits until the disk has it.
  package static func write(
    _ bytes: [UInt8], to path: String, _ opening: Opening, calls: FileCalls = FileCalls()
  ) throws(FileFailure) {
    let file = try DurableFile(
      path, opening, reserving: opening == .new ? bytes.count : 0, calls: calls)
    try file.append(bytes)
    try file.finish()
  }

  /// Writes bytes behind those that were appended last.
  package func append(_ bytes: [UInt8]) throws(FileFailure) {
    try bytes.withUnsafeBufferPointer { (bytes) throws(FileFailure) in
      try append(UnsafeRawBufferPointer(bytes))
    }
  }

  /// Writes bytes from position `offset` on.
  package func write(_ bytes: [UInt8], at offset: Int) throws(FileFailure) {
    try bytes.withUnsafeBufferPointer { (bytes) throws(FileFailure) in
      try write(UnsafeRawBufferPointer(bytes), at: offset)
    }
  }
}
