import Glibc

/// The names in a folder, which reach the disk apart from the files that have them.
package enum FolderNames {
  /// Waits until the disk has the names in a folder.
  package static func sync(
    _ path: String, _ calls: FileCalls = FileCalls()
  ) throws(FileFailure) {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    // A folder that may be written to and not read: its names get to the disk in time.
    guard descriptor >= 0 || errno != EACCES else { return }
    guard descriptor >= 0 else { throw FileFailure(.openFolder, path) }
    defer { close(descriptor) }
    // Some network file systems cannot sync folders, and say so: there it goes without.
    guard calls.sync(descriptor) == 0 || [EINVAL, ENOTSUP, ENOSYS, EBADF].contains(errno) else {
      throw FileFailure(.sync, path)
    }
  }

  /// Whether two paths lead to the same folder.
  package static func isSame(_ path: String, _ other: String) -> Bool {
    var (one, two) = (stat(), stat())
    return stat(path, &one) == 0 && stat(other, &two) == 0 && one.st_dev == two.st_dev
      && one.st_ino == two.st_ino
  }

  /// The folder that a path lies in.
  package static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
