package import Glibc

/// A file that appears whole or not at all: it is written beside its place, synced to the disk and
/// renamed, and then its folder is synced, so that neither a crash nor a power cut leaves half of it
/// under its name.
///
/// One that never got its name goes with the object.
package final class AtomicFile {
  /// The name that it gets.
  package let path: String
  private let file: DurableFile
  private let calls: FileCalls
  private var isPlaced = false

  /// Makes the file beside.
  ///
  /// - Parameters:
  ///   - path: the name that it gets.
  ///   - beside: its name until then, in the same folder.
  ///   - opening: whether a file of that name may have been left behind.
  ///   - permissions: less what the process withholds (umask).
  package init(
    _ path: String, beside: String, _ opening: DurableFile.Opening = .emptied,
    permissions: mode_t = 0o666, calls: FileCalls = FileCalls()
  ) throws(FileFailure) {
    self.path = path
    self.calls = calls
    file = try DurableFile(beside, opening, permissions: permissions, calls: calls)
  }

  deinit { if !isPlaced { unlink(file.path) } }

  /// Writes bytes behind those that were appended last.
  package func append(_ content: UnsafeRawBufferPointer) throws(FileFailure) {
    try file.append(content)
  }

  /// Writes bytes behind those that were appended last.
  package func append(_ bytes: [UInt8]) throws(FileFailure) { try file.append(bytes) }

  /// Gives the file the owner, the group and the permissions of what it replaces, as far as that is
  /// allowed; everybody's are left out.
  package func takeRights() { file.takeRights(of: path) }

  /// Gives the file its name, once the disk has it.
  ///
  /// - Parameter replacing: whether a file of that name may be there.
  /// - Throws: what was there before is then as it was, unless only its folder could not be synced:
  ///   then the new one is there, perhaps not for long.
  package func place(replacing: Bool = true) throws(FileFailure) {
    try file.finish()
    if replacing {
      guard calls.rename(file.path, path) == 0 else { throw FileFailure(.place, path) }
    } else {
      // `link` fails where the name is taken, also between a look and the call.
      guard link(file.path, path) == 0 else { throw FileFailure(.place, path) }
      unlink(file.path)
    }
    isPlaced = true
    try FolderNames.sync(FolderNames.folder(of: path), calls)
  }

  /// Puts bytes in a path's place at once: whoever looks sees the old file or the new one.
  package static func write(
    _ bytes: [UInt8], to path: String, beside: String, _ opening: DurableFile.Opening = .emptied,
    permissions: mode_t = 0o666, replacing: Bool = true, calls: FileCalls = FileCalls()
  ) throws(FileFailure) {
    let file = try AtomicFile(
      path, beside: beside, opening, permissions: permissions, calls: calls)
    try file.append(bytes)
    try file.place(replacing: replacing)
  }
}
