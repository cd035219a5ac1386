import DurableFiles
import Glibc
import Tensors

/// A checkpoint that is being put together on the disk: its pieces are written to their places in
/// any order, as they come, so that nobody needs memory for all of it.
///
/// It lies in `step-00000500.new/`, or in `collecting.new/` while it is not known of which step it
/// is, and has the store to itself until it is finished or forgotten.
package final class CheckpointDraft {
  private let store: CheckpointStore
  private let folder: String
  /// A descriptor that keeps other processes from writing in the store.
  private let lock: Int32
  private let model: DraftFile
  private let optimizer: DraftFile
  private var isPlaced = false

  /// Takes room for a checkpoint.
  ///
  /// - Parameters:
  ///   - steps: of which step it will be, if that is known.
  ///   - tensors: names and shapes of the parameters.
  /// - Throws: `CheckpointError` if another process writes there, or the disk has no room.
  package init(
    in store: CheckpointStore, steps: UInt64?, tensors: [(name: String, shape: [Int])]
  ) throws(CheckpointError) {
    self.store = store
    lock = try store.prepareToWrite()
    folder =
      "\(store.directory)/\(steps.map(CheckpointName.ofStep) ?? CheckpointStore.collecting)"
      + CheckpointStore.unfinishedSuffix
    do throws(CheckpointError) {
      try Folder.make(folder)
      model = try DraftFile(
        CheckpointManifest.modelName, in: folder, tensors, what: "tensor", store.calls)
      optimizer = try DraftFile(
        CheckpointManifest.optimizerName, in: folder, tensors, what: "the velocity of",
        store.calls)
    } catch {
      Folder.remove(folder)
      close(lock)
      throw error
    }
  }

  deinit {
    if !isPlaced { Folder.remove(folder) }
    close(lock)
  }

  /// Writes elements of a row-major tensor, of the parameter itself or of its velocity, from number
  /// `element` on; what is written twice is what was written last.
  ///
  /// - Throws: `CheckpointError` if there is no such tensor, it has no such elements, or the disk
  ///   fails.
  package func write(
    _ name: String, velocity: Bool, at element: Int, _ values: UnsafeBufferPointer<Float>
  ) throws(CheckpointError) {
    try (velocity ? optimizer : model).write(name, at: element, values)
  }

  /// Makes it a checkpoint of the store, which then removes those beyond the newest `keep`.
  ///
  /// - Parameters:
  ///   - manifest: its format and its files are filled in here.
  ///   - spared: the step of a checkpoint that is not removed.
  ///   - confirm: asked once all of it is on the disk; throws if it is not to count nevertheless.
  /// - Returns: the checkpoint's directory.
  /// - Throws: `CheckpointError` if something was not written, a value is infinite or not a number,
  ///   or the disk fails, and whatever `confirm` throws; see `CheckpointStore.write`.
  package func finish(
    _ manifest: CheckpointManifest, sparing spared: UInt64? = nil,
    _ confirm: () throws(CheckpointError) -> Void = {}
  ) throws(CheckpointError) -> String {
    let path = "\(store.directory)/\(CheckpointName.ofStep(manifest.steps))"
    var manifest = manifest
    manifest.format = CheckpointManifest.currentFormat
    manifest.files = []
    // A file says itself where it belongs: two checkpoints' files cannot be mixed.
    let metadata = ["format": "pt", "run": manifest.run, "steps": "\(manifest.steps)"]
    for file in [model, optimizer] {
      let written = try file.finish(metadata, of: path)
      manifest.files.append(.init(name: file.name, bytes: written.bytes, crc32: written.crc32))
    }
    let place = "\(folder)/\(CheckpointManifest.fileName)"
    let text = try ManifestText.encode(manifest, path: place)
    guard text.count <= ManifestText.maximumBytes else {
      throw CheckpointError(path: place, reason: "\(text.count) bytes, too long for a manifest")
    }
    try FileFailure.told(as: CheckpointError.init) { () throws(FileFailure) in
      try DurableFile.write(text, to: place, .new, calls: store.calls)
    }
    try Folder.sync(folder, store.calls)
    try confirm()
    try store.place(folder, as: path)
    // What has the draft's name now, if anything, is the checkpoint of old.
    isPlaced = true
    try store.settle(path, for: folder, sparing: spared)
    return path
  }

  /// Writes the parameters alone as a file of their own, after the checkpoint could not be finished.
  ///
  /// - Parameter metadata: what the file says of itself.
  /// - Throws: `SafeTensorsError`, also if not even they were all written.
  package func saveModel(
    to path: String, metadata: [String: String]
  ) throws(SafeTensorsError) {
    do throws(CheckpointError) {
      try model.complete(["format": "pt"], of: path)
    } catch {
      throw SafeTensorsError(path: error.path, reason: error.reason)
    }
    let reader =
      if let written = model.written {
        written
      } else {
        try SafeTensorsReader(path: "\(folder)/\(model.name)")
      }
    try SafeTensorsWriter().write(to: path, from: reader, metadata: metadata)
  }
}

/// A tensor file of a draft.
private final class DraftFile {
  let name: String
  private let file: DurableFile
  private let header: SafeTensorsHeader
  /// Where the data begins: behind a header with the longest metadata that it may get.
  private let dataStart: Int
  /// Tensors of which nothing was written yet. That nothing is missing in between is for those to
  /// know who write.
  private var untouched: Set<String>
  /// What its tensors are, for an error.
  private let what: String
  private var isComplete = false
  /// Once it is on the disk; also under another name.
  private(set) var written: SafeTensorsReader?

  init(
    _ name: String, in folder: String, _ tensors: [(name: String, shape: [Int])], what: String,
    _ calls: FileCalls
  ) throws(CheckpointError) {
    let path = "\(folder)/\(name)"
    self.name = name
    self.what = what
    var header: SafeTensorsHeader
    do throws(SafeTensorsError) {
      header = try SafeTensorsHeader(floats: tensors, path: path)
    } catch {
      throw CheckpointError(error)
    }
    // The step may not be known yet: room for any.
    header.metadata = ["format": "pt", "run": Self.longestRun, "steps": "\(UInt64.max)"]
    dataStart = header.encoded.count
    self.header = header
    untouched = Set(header.tensors.keys)
    let bytes = dataStart + header.dataBytes
    file = try FileFailure.told(as: CheckpointError.init) { () throws(FileFailure) in
      try DurableFile(path, .new, reserving: bytes, calls: calls)
    }
  }

  /// As long as a run's name is.
  private static let longestRun = String(repeating: "0", count: 64)

  func write(
    _ tensor: String, at element: Int, _ values: UnsafeBufferPointer<Float>
  ) throws(CheckpointError) {
    guard let place = header.tensors[tensor], element >= 0,
      element + values.count <= place.bytes.count / 4
    else {
      throw CheckpointError(
        path: file.path, reason: "there are no \(values.count) elements of \(tensor) at \(element)")
    }
    untouched.remove(tensor)
    let start = dataStart + place.bytes.lowerBound + 4 * element
    try FileFailure.told(as: CheckpointError.init) { () throws(FileFailure) in
      try file.write(UnsafeRawBufferPointer(values), at: start)
    }
  }

  /// Writes the header, with which the file can be read; once.
  ///
  /// - Parameter checkpoint: where it will be, for the error.
  func complete(_ metadata: [String: String], of checkpoint: String) throws(CheckpointError) {
    guard !isComplete else { return }
    if let tensor = untouched.min() {
      throw CheckpointError(path: checkpoint, reason: "not written: \(what) \(tensor) did not come")
    }
    var header = header
    header.metadata = metadata
    let start = header.encoded(atLeast: dataStart)
    guard start.count == dataStart else {
      throw CheckpointError(path: checkpoint, reason: "not written: the run's name is too long")
    }
    try FileFailure.told(as: CheckpointError.init) { () throws(FileFailure) in
      try file.write(start, at: 0)
    }
    isComplete = true
  }

  /// Writes the header and waits for the disk.
  ///
  /// - Parameter checkpoint: where it will be, for the error.
  /// - Returns: size and CRC-32.
  func finish(
    _ metadata: [String: String], of checkpoint: String
  ) throws(CheckpointError) -> (bytes: UInt64, crc32: String) {
    try complete(metadata, of: checkpoint)
    try FileFailure.told(as: CheckpointError.init) { () throws(FileFailure) in try file.finish() }
    let reader: SafeTensorsReader
    do throws(SafeTensorsError) {
      reader = try SafeTensorsReader(path: file.path)
    } catch {
      throw CheckpointError(error)
    }
    written = reader
    // Read again, for the checksum: most of it is still in memory. A checkpoint with a value that is
    // not a number is worse than none: it would push out the last one that can be used.
    let (crc32, nonFinite) = try reader.contentCheck(calling: what)
    if let nonFinite {
      throw CheckpointError(path: checkpoint, reason: "not written: \(nonFinite)")
    }
    return (UInt64(dataStart + header.dataBytes), crc32)
  }
}
