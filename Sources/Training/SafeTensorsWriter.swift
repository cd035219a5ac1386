import DurableFiles

/// Writes safetensors files, so that PyTorch and everybody else can load them.
///
/// The file appears whole or not at all, see `AtomicFile`.
package struct SafeTensorsWriter {
  private let calls: FileCalls

  /// A writer; it has no state.
  package init() { self.init(calls: FileCalls()) }

  /// A writer to the disk that these calls play.
  init(calls: FileCalls) { self.calls = calls }

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
    try write(header, metadata, to: path) { (append) throws(SafeTensorsError) in
      for tensor in tensors.sorted(by: { $0.name < $1.name }) {
        try append(UnsafeRawBufferPointer(tensor.data))
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
    try write(source.header, metadata, to: path) { (append) throws(SafeTensorsError) in
      for start in stride(from: source.dataStart, to: end, by: buffer.count) {
        let part = UnsafeMutableRawBufferPointer(
          rebasing: buffer[..<min(buffer.count, end - start)])
        try source.readBytes(at: start, into: part)
        try append(UnsafeRawBufferPointer(part))
      }
    }
  }

  private func write(
    _ header: SafeTensorsHeader, _ metadata: [String: String], to path: String,
    _ data: ((UnsafeRawBufferPointer) throws(SafeTensorsError) -> Void) throws(SafeTensorsError) ->
      Void
  ) throws(SafeTensorsError) {
    let prefix = SafeTensorsHeader(tensors: header.tensors, metadata: metadata).encoded
    let file = try FileFailure.told(as: SafeTensorsError.init) { () throws(FileFailure) in
      let file = try AtomicFile(path, beside: path + ".partial", calls: calls)
      try file.append(prefix)
      return file
    }
    try data { (bytes) throws(SafeTensorsError) in
      try FileFailure.told(as: SafeTensorsError.init) { () throws(FileFailure) in
        try file.append(bytes)
      }
    }
    try FileFailure.told(as: SafeTensorsError.init) { () throws(FileFailure) in try file.place() }
  }
}
