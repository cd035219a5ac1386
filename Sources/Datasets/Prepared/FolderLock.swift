import CLinux
import Glibc

/// Keeps other processes from preparing a data set in the same folder, as long as it lives.
final class FolderLock: Sendable {
  private let descriptor: CInt

  /// - Throws: `DatasetError` if another process has it.
  init(_ folder: String) throws(DatasetError) {
    descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw DatasetError(folder, "cannot be opened: \(Files.systemError())")
    }
    // Where the file system has no locks it goes without.
    guard crosscut_lock(descriptor) == 0 || errno != EWOULDBLOCK else {
      close(descriptor)
      throw DatasetError(folder, "another process is preparing a data set there")
    }
  }

  deinit { close(descriptor) }
}
