import Glibc

/// Writes safetensors files, so that PyTorch and everybody else can load them.
///
/// The file appears whole or not at all: it is written beside its place, fsynced and renamed, and
/// the directory is fsynced, so that neither a crash nor a power cut leaves half a checkpoint
/// under its name.
package struct SafeTensorsWriter {
  /// A writer; it has no state.
  package init() {}

  /// Writes F32 tensors; the data goes from the pointers to the kernel without another copy.
  ///
  /// - Parameters:
  ///   - path: replaced if it exists.
  ///   - tensors: row-major; each shape's product is its number of values. Stored in the order of
  ///     their names, so that the same content gives the same bytes.
  ///   - metadata: the header's `__metadata__`.
  /// - Throws: `SafeTensorsError` with the call that failed; the file of old is then untouched.
  package func write(
    to path: String,
    tensors: [(name: String, shape: [Int], data: UnsafeBufferPointer<Float>)],
    metadata: [String: String] = [:]
  ) throws(SafeTensorsError) {
    let header = try SafeTensorsHeader(floats: tensors.map { ($0.name, $0.shape) }, path: path)
    for tensor in tensors where tensor.shape.reduce(1, *) != tensor.data.count {
      throw SafeTensorsError(
        path: path,
        reason: "tensor \(tensor.name): \(tensor.data.count) values for shape \(tensor.shape)")
    }
    try Self.write(header, metadata, to: path) { (file, beside) throws(SafeTensorsError) in
      for tensor in tensors.sorted(by: { $0.name < $1.name }) {
        try Self.writeAll(UnsafeRawBufferPointer(tensor.data), file, beside)
      }
    }
  }

  /// Writes the tensors of another file with other metadata, some of them at a time.
  package func write(
    to path: String, from source: SafeTensorsReader, metadata: [String: String]
  ) throws(SafeTensorsError) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    let end = source.dataStart + source.header.dataBytes
    try Self.write(source.header, metadata, to: path) { (file, beside) throws(SafeTensorsError) in
      for start in stride(from: source.dataStart, to: end, by: buffer.count) {
        let part = UnsafeMutableRawBufferPointer(
          rebasing: buffer[..<min(buffer.count, end - start)])
        try source.readBytes(at: start, into: part)
        try Self.writeAll(UnsafeRawBufferPointer(part), file, beside)
      }
    }
  }

  private static func write(
    _ header: SafeTensorsHeader, _ metadata: [String: String], to path: String,
    _ data: (_ file: Int32, _ beside: String) throws(SafeTensorsError) -> Void
  ) throws(SafeTensorsError) {
    let prefix = SafeTensorsHeader(tensors: header.tensors, metadata: metadata).encoded
    let beside = path + ".partial"
    let file = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw failure("open", beside) }
    do throws(SafeTensorsError) {
      do throws(SafeTensorsError) {
        try prefix.withUnsafeBufferPointer { (bytes) throws(SafeTensorsError) in
          try writeAll(UnsafeRawBufferPointer(bytes), file, beside)
        }
        try data(file, beside)
        guard fsync(file) == 0 else { throw failure("fsync", beside) }
      } catch {
        close(file)
        throw error
      }
      // close() may report a delayed write error (NFS); the descriptor is gone either way.
      guard close(file) == 0 else { throw failure("close", beside) }
      guard rename(beside, path) == 0 else { throw failure("rename", path) }
    } catch {
      unlink(beside)
      throw error
    }
    try syncDirectory(of: path)
  }

  private static func writeAll(
    _ bytes: UnsafeRawBufferPointer, _ file: Int32, _ path: String
  ) throws(SafeTensorsError) {
    guard let start = bytes.baseAddress else { return }
    var done = 0
    while done < bytes.count {
      // Linux writes at most 2 GiB - 4 KiB at once and says how much.
      let count = Glibc.write(file, start + done, bytes.count - done)
      if count < 0 {
        if errno == EINTR { continue }
        throw failure("write", path)
      }
      done += count
    }
  }

  private static func syncDirectory(of path: String) throws(SafeTensorsError) {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropLast()
    let parent = parts.isEmpty ? "." : parts.joined(separator: "/")
    let directory = open(parent.isEmpty ? "/" : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw failure("open", parent) }
    defer { close(directory) }
    guard fsync(directory) == 0 else { throw failure("fsync", parent) }
  }

  /// The error of a C call that has just failed.
  static func failure(_ call: String, _ path: String) -> SafeTensorsError {
    let code = errno
    let advice = code == ENOSPC || code == EDQUOT ? ": free some there" : ""
    return SafeTensorsError(
      path: path, reason: "\(call): \(String(cString: strerror(code)))\(advice)")
  }
}
