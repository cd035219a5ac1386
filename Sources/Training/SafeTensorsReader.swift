import Glibc

/// Reads safetensors files, believing nothing: everything the header claims is checked against
/// the file's real size before memory is taken for it.
///
/// Tensors are read on demand with `pread`, whole or in part, so that a node takes only its slice
/// of a large tensor. (Not mapped: a file cut short under a mapping kills the process.)
package final class SafeTensorsReader: Sendable {
  /// Where the file was opened.
  package let path: String
  /// The header's `__metadata__`; empty if there is none.
  package var metadata: [String: String] { header.metadata }
  /// Names of all tensors, sorted.
  package var names: [String] { header.tensors.keys.sorted() }

  /// What the file says of itself, checked.
  let header: SafeTensorsHeader
  /// Where the data starts in the file.
  let dataStart: Int
  private let file: Int32

  /// Opens a file and checks all of its header.
  ///
  /// - Throws: `SafeTensorsError` with what is wrong.
  package init(path: String) throws(SafeTensorsError) {
    // Not blocking: a pipe under that name would keep open() waiting for a writer.
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { throw SafeTensorsError.system("open", path) }
    do throws(SafeTensorsError) {
      (header, dataStart) = try Self.checkedHeader(file, path)
    } catch {
      close(file)
      throw error
    }
    self.path = path
    self.file = file
  }

  deinit { close(file) }

  /// The shape of a tensor, or nil if there is none of that name.
  package func shape(of name: String) -> [Int]? { header.tensors[name]?.shape }

  /// A whole F32 tensor, row-major.
  ///
  /// - Throws: if there is none of that name, it is of another type, or the disk fails.
  package func tensor(
    named name: String
  ) throws(SafeTensorsError) -> (shape: [Int], values: [Float]) {
    let tensor = try floats(name)
    let count = tensor.bytes.count / MemoryLayout<Float>.stride
    var values = [Float](repeating: 0, count: count)
    try values.withUnsafeMutableBufferPointer { (buffer) throws(SafeTensorsError) in
      guard let target = buffer.baseAddress else { return }
      try read(name, elements: 0..<count, into: target)
    }
    return (tensor.shape, values)
  }

  /// Reads the elements `range` of a row-major F32 tensor.
  ///
  /// - Precondition: the range lies in the tensor.
  package func read(
    _ name: String, elements range: Range<Int>, into target: UnsafeMutablePointer<Float>
  ) throws(SafeTensorsError) {
    let tensor = try floats(name)
    let size = MemoryLayout<Float>.stride
    precondition(
      range.lowerBound >= 0 && range.upperBound <= tensor.bytes.count / size, "\(name): \(range)")
    try Self.readAll(
      UnsafeMutableRawBufferPointer(start: target, count: range.count * size),
      at: dataStart + tensor.bytes.lowerBound + range.lowerBound * size, file, path)
  }

  /// Reads the file's own bytes, header included.
  ///
  /// - Throws: if the file is not that long (any more), or the disk fails.
  func readBytes(
    at offset: Int, into target: UnsafeMutableRawBufferPointer
  ) throws(SafeTensorsError) {
    try Self.readAll(target, at: offset, file, path)
  }

  private func floats(_ name: String) throws(SafeTensorsError) -> SafeTensorsHeader.Tensor {
    guard let tensor = header.tensors[name] else {
      throw SafeTensorsError(path: path, reason: "there is no tensor \(name)")
    }
    guard tensor.dtype == "F32" else {
      throw SafeTensorsError(path: path, reason: "tensor \(name) is \(tensor.dtype), not F32")
    }
    return tensor
  }

  private static func checkedHeader(
    _ file: Int32, _ path: String
  ) throws(SafeTensorsError) -> (SafeTensorsHeader, dataStart: Int) {
    var status = stat()
    guard fstat(file, &status) == 0 else { throw SafeTensorsError.system("fstat", path) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw SafeTensorsError(path: path, reason: "not a regular file")
    }
    let size = Int(status.st_size)
    let prefix = SafeTensorsHeader.prefix
    guard size >= prefix else {
      throw SafeTensorsError(
        path: path, reason: "\(size) bytes, too short for the header's length")
    }
    let length = try bytes(prefix, at: 0, file, path)
      .reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard length <= UInt64(SafeTensorsHeader.maximumBytes) else {
      throw SafeTensorsError(
        path: path, reason: "a header of \(length) bytes is too long: is it a .safetensors file?")
    }
    guard Int(length) <= size - prefix else {
      throw SafeTensorsError(
        path: path,
        reason: "a header of \(length) bytes does not fit in the file's \(size) bytes")
    }
    let json = try bytes(Int(length), at: prefix, file, path)
    let header: SafeTensorsHeader
    do throws(SafeTensorsParser.Failure) {
      header = try SafeTensorsParser.header(json)
    } catch {
      throw SafeTensorsError(path: path, reason: error.reason)
    }
    let start = prefix + Int(length)
    if let reason = header.contradiction(dataBytes: size - start) {
      throw SafeTensorsError(path: path, reason: reason)
    }
    return (header, start)
  }

  private static func bytes(
    _ count: Int, at offset: Int, _ file: Int32, _ path: String
  ) throws(SafeTensorsError) -> [UInt8] {
    var result = [UInt8](repeating: 0, count: count)
    try result.withUnsafeMutableBufferPointer { (buffer) throws(SafeTensorsError) in
      try readAll(UnsafeMutableRawBufferPointer(buffer), at: offset, file, path)
    }
    return result
  }

  private static func readAll(
    _ target: UnsafeMutableRawBufferPointer, at offset: Int, _ file: Int32, _ path: String
  ) throws(SafeTensorsError) {
    guard let start = target.baseAddress else { return }
    var done = 0
    while done < target.count {
      let count = pread(file, start + done, target.count - done, off_t(offset + done))
      if count < 0 {
        if errno == EINTR { continue }
        throw SafeTensorsError.system("pread", path)
      }
      guard count > 0 else {
        throw SafeTensorsError(path: path, reason: "the file became shorter while it was read")
      }
      done += count
    }
  }
}
