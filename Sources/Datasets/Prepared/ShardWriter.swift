import DurableFiles

/// A tar archive that gets its name when it is whole.
final class ShardWriter {
  private let file: AtomicFile
  private var buffer: [UInt8] = []
  private var written = 0

  /// Bytes that are gathered before a call of the system: more save calls.
  private static let bufferBytes = 1 << 20

  init(path: String) throws(DatasetError) {
    file = try FileFailure.told(as: DatasetError.init) { () throws(FileFailure) in
      try AtomicFile(path, beside: path + ".part")
    }
    buffer.reserveCapacity(2 * Self.bufferBytes)
  }

  /// Adds a member.
  ///
  /// - Returns: the offset of its contents.
  func add(name: String, _ contents: [UInt8]) throws(DatasetError) -> Int {
    buffer += TarArchive.header(name: name, size: contents.count)
    let offset = written + buffer.count
    buffer += contents
    buffer += repeatElement(0, count: TarArchive.padding(after: contents.count))
    if buffer.count >= Self.bufferBytes { try flush() }
    return offset
  }

  /// Writes the archive's end and gives it its name.
  ///
  /// - Returns: its bytes.
  func finish() throws(DatasetError) -> Int {
    buffer += TarArchive.end
    try flush()
    try FileFailure.told(as: DatasetError.init) { () throws(FileFailure) in try file.place() }
    return written
  }

  private func flush() throws(DatasetError) {
    try FileFailure.told(as: DatasetError.init) { () throws(FileFailure) in
      try file.append(buffer)
    }
    written += buffer.count
    buffer.removeAll(keepingCapacity: true)
  }
}
