import Glibc
package import Network
import Tensors

/// A checkpoint that was opened and found to be what its manifest says.
///
/// Nothing of it is believed before all of it is checked, so that none is ever half loaded; its
/// files stay open, so that a reader may take its time while the store removes it.
package final class Checkpoint: Sendable {
  /// Its directory.
  package let path: String
  /// What it says of itself.
  package let manifest: CheckpointManifest

  private let model: SafeTensorsReader
  private let optimizer: SafeTensorsReader

  /// Opens a checkpoint.
  ///
  /// - Parameters:
  ///   - path: of its directory.
  ///   - verify: reads every byte of it, for the checksums and for values that are not finite.
  ///     Without, only manifest, sizes and headers are checked, which takes no time.
  /// - Throws: `CheckpointError` with the file that is wrong and what is wrong with it.
  package init(path: String, verify: Bool = true) throws(CheckpointError) {
    let path = Folder.trimmed(path)
    let place = "\(path)/\(CheckpointManifest.fileName)"
    let manifest = try ManifestText.decode(Self.text(of: place), path: place)
    if let steps = CheckpointName.steps(of: Folder.name(of: path)), steps != manifest.steps {
      throw CheckpointError(
        path: place, reason: "of step \(manifest.steps), its directory of step \(steps)")
    }
    model = try Self.open(CheckpointManifest.modelName, in: path, manifest)
    optimizer = try Self.open(CheckpointManifest.optimizerName, in: path, manifest)
    self.path = path
    self.manifest = manifest
    if verify {
      for file in [model, optimizer] { try checkContent(of: file) }
    }
    // After the checksums, which tell the file that is damaged from the one that is not.
    try requireSameTensors()
  }

  /// Checks that the tensors are the network's parameters, all of them and no other.
  ///
  /// - Throws: `CheckpointError` naming the first that is missing, of another shape, or foreign.
  package func check(against table: ParameterTable) throws(CheckpointError) {
    for entry in table.entries {
      guard let shape = model.shape(of: entry.name) else {
        throw CheckpointError(
          path: model.path,
          reason: "there is no tensor \(entry.name), \(entry.shape) (\(entry.layerName))")
      }
      guard shape == entry.shape.extents else {
        throw CheckpointError(
          path: model.path,
          reason: "tensor \(entry.name) is \(Self.text(of: shape)), "
            + "the network's \(entry.layerName) \(entry.shape)")
      }
    }
    let known = Set(table.entries.map(\.name))
    if let foreign = model.names.first(where: { !known.contains($0) }) {
      throw CheckpointError(
        path: model.path, reason: "tensor \(foreign) is none of the network's parameters")
    }
  }

  /// Reads elements of a row-major tensor: of the parameter itself, or of its velocity.
  ///
  /// - Throws: `CheckpointError` if there is no such tensor, it has no such elements, or the disk
  ///   fails.
  package func read(
    _ name: String, velocity: Bool, elements: Range<Int>,
    into target: UnsafeMutablePointer<Float>
  ) throws(CheckpointError) {
    let file = velocity ? optimizer : model
    guard let shape = file.shape(of: name) else {
      throw CheckpointError(path: file.path, reason: "there is no tensor \(name)")
    }
    guard elements.lowerBound >= 0, elements.upperBound <= shape.reduce(1, *) else {
      throw CheckpointError(
        path: file.path,
        reason: "tensor \(name), \(Self.text(of: shape)), has no elements \(elements)")
    }
    do throws(SafeTensorsError) {
      try file.read(name, elements: elements, into: target)
    } catch {
      throw CheckpointError(error)
    }
  }

  /// Writes the parameters alone as a file of their own.
  ///
  /// - Parameter metadata: what it says of itself.
  package func saveModel(
    to path: String, metadata: [String: String]
  ) throws(SafeTensorsError) {
    try SafeTensorsWriter().write(to: path, from: model, metadata: metadata)
  }

  private static func open(
    _ name: String, in folder: String, _ manifest: CheckpointManifest
  ) throws(CheckpointError) -> SafeTensorsReader {
    let path = "\(folder)/\(name)"
    let entry = manifest.files.first { $0.name == name }
    var status = stat()
    guard stat(path, &status) == 0 else { throw .system("cannot be opened", path) }
    // Before the header, which may lie behind the end: this is the clearer reason.
    if let entry, status.st_mode & S_IFMT == S_IFREG, UInt64(status.st_size) != entry.bytes {
      throw CheckpointError(
        path: path, reason: "\(status.st_size) bytes, the manifest says \(entry.bytes)")
    }
    let file: SafeTensorsReader
    do throws(SafeTensorsError) {
      file = try SafeTensorsReader(path: path)
    } catch {
      throw CheckpointError(error)
    }
    let found = "of run \(file.metadata["run"] ?? "?"), step \(file.metadata["steps"] ?? "?")"
    let expected = "of run \(manifest.run), step \(manifest.steps)"
    guard found == expected else {
      throw CheckpointError(path: path, reason: "\(found), the manifest \(expected)")
    }
    if let (name, tensor) = file.header.tensors.first(where: { $0.value.dtype != "F32" }) {
      throw CheckpointError(path: path, reason: "tensor \(name) is \(tensor.dtype), not F32")
    }
    return file
  }

  private func requireSameTensors() throws(CheckpointError) {
    for name in Set(model.names).union(optimizer.names).sorted() {
      let shapes = (model.shape(of: name), optimizer.shape(of: name))
      guard shapes.0 != shapes.1 else { continue }
      throw CheckpointError(
        path: optimizer.path,
        reason: "the velocity of \(name) is \(Self.text(of: shapes.1)), "
          + "the tensor \(Self.text(of: shapes.0))")
    }
  }

  private func checkContent(of file: SafeTensorsReader) throws(CheckpointError) {
    let expected = manifest.files.first { $0.name == Folder.name(of: file.path) }?.crc32 ?? ""
    let (found, nonFinite) = try file.contentCheck()
    guard found == expected else {
      throw CheckpointError(
        path: file.path, reason: "damaged: its CRC-32 is \(found), the manifest says \(expected)")
    }
    if let nonFinite { throw CheckpointError(path: file.path, reason: nonFinite) }
  }

  private static func text(of shape: [Int]?) -> String {
    guard let shape else { return "not there" }
    return shape.isEmpty ? "a scalar" : shape.map(String.init).joined(separator: "x")
  }

  /// A small file's bytes.
  private static func text(of path: String) throws(CheckpointError) -> [UInt8] {
    // Not blocking: a pipe under that name would keep open() waiting for a writer.
    let file = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { throw .system("cannot be opened", path) }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0 else { throw .system("cannot be read", path) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw CheckpointError(path: path, reason: "not a regular file")
    }
    guard status.st_size <= ManifestText.maximumBytes else {
      throw CheckpointError(
        path: path, reason: "\(status.st_size) bytes, too long for a manifest")
    }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeMutableBytes { buffer in
        Glibc.read(file, buffer.baseAddress.map { $0 + done }, buffer.count - done)
      }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .system("cannot be read", path) }
      guard count > 0 else { return Array(bytes[..<done]) }
      done += count
    }
    return bytes
  }
}
