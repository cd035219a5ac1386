import CLinux
import Glibc

/// Keeps other processes from preparing a data set in the same folder, as long as it lives.
final class FolderLock: Sendable {
  private let descriptor: CInt

  /// - Throws: `DatasetError` if another process has it.
  init(_ folder: String) throws(DatasetError) {
    // Not the property yet: what is thrown after it is set has it closed once more.
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Files.cannotOpen(folder) }
    // Where the file system has no locks it goes without.
    guard crosscut_lock(descriptor) == 0 || errno != EWOULDBLOCK else {
      close(descriptor)
      throw DatasetError(folder, "another process is preparing a data set there")
    }
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }
}
