import Glibc

/// A folder in memory alone for decoders that are given one, with the same files for every input.
final class Folder {
  let path: String

  init() {
    var template = Array("/dev/shm/crosscut-fuzz-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil, "mkdtemp: errno \(errno)")
    path = template.withUnsafeBufferPointer {
      String(cString: $0.baseAddress.unsafelyUnwrapped)
    }
  }

  /// Writes a file in place of the one of that name.
  func write(_ name: String, _ bytes: some Collection<UInt8>) {
    let bytes = Array(bytes)
    let descriptor = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    precondition(descriptor >= 0, "open \(path)/\(name): errno \(errno)")
    defer { close(descriptor) }
    precondition(Glibc.write(descriptor, bytes, bytes.count) == bytes.count)
  }

  /// Takes its files away, and the folder.
  func remove(_ names: [String]) {
    for name in names { unlink("\(path)/\(name)") }
    rmdir(path)
  }
}
