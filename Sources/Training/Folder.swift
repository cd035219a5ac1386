import DurableFiles
import Glibc

/// Directories of files, as the checkpoint store needs them.
enum Folder {
  /// Names of what a directory holds, without "." and "..", sorted; empty if it does not exist.
  static func entries(of path: String) throws(CheckpointError) -> [String] {
    guard let stream = opendir(path) else {
      if errno == ENOENT { return [] }
      throw .system("cannot be read", path)
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: $0.pointee)) {
          String(cString: $0)
        }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Whether there is a directory of that name.
  static func exists(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Makes a directory that is not there yet, in a parent that is.
  static func make(_ path: String) throws(CheckpointError) {
    guard mkdir(path, 0o777) == 0 else { throw .system("cannot be made", path) }
  }

  /// Waits until the disk has a directory's entries.
  static func sync(_ path: String, _ calls: FileCalls) throws(CheckpointError) {
    try FileFailure.told(as: CheckpointError.init) { () throws(FileFailure) in
      try FolderNames.sync(path, calls)
    }
  }

  /// Removes a directory and the files in it, as far as that goes: whoever removes something is
  /// about to do, or has done, what matters more.
  static func remove(_ path: String) {
    for name in (try? entries(of: path)) ?? [] { unlink(path + "/" + name) }
    rmdir(path)
  }

  /// The last part of a path.
  static func name(of path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }

  /// A path without slashes at its end.
  static func trimmed(_ path: String) -> String {
    var path = path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    return path
  }

  /// Puts a directory in the place of another, or where there is none, in one step if the file
  /// system can. What stood there keeps its files, under the name `beside` or `aside`.
  ///
  /// - Throws: all of them then have the names that they had; where the file system cannot exchange
  ///   and then fails twice, what stood there is aside.
  static func replace(
    _ path: String, with beside: String, aside: String, _ calls: FileCalls
  ) throws(CheckpointError) {
    guard exists(path) else {
      guard calls.rename(beside, path) == 0 else { throw .system("cannot be renamed", beside) }
      return
    }
    if calls.exchange(beside, path) == 0 { return }
    // Some network file systems cannot exchange: for a moment there is neither.
    guard calls.rename(path, aside) == 0 else { throw .system("cannot be renamed", path) }
    guard calls.rename(beside, path) == 0 else {
      let error = CheckpointError.system("cannot be renamed", beside)
      _ = calls.rename(aside, path)
      throw error
    }
  }
}
