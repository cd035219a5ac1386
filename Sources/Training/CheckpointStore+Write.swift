import Glibc
import Tensors

extension CheckpointStore {
  /// Writes a checkpoint and then removes those beyond the newest `keep`.
  ///
  /// Never removed are the one just written, the best one, and any of a later step: who resumes from an older
  /// checkpoint does not lose the newer ones by that. A checkpoint of the same step is replaced.
  ///
  /// - Parameters:
  ///   - manifest: its format and its files are filled in here.
  ///   - tensors: every parameter of the network, whole.
  /// - Returns: the checkpoint's directory.
  /// - Throws: `CheckpointError` if a value is infinite or not a number, another process writes
  ///   there, or the disk fails; what was there before is then as it was.
  package func write(
    _ manifest: CheckpointManifest, tensors: [CheckpointTensor]
  ) throws(CheckpointError) -> String {
    let path = "\(directory)/\(Self.name(ofStep: manifest.steps))"
    try Self.refuseNonFinite(tensors, path: path)
    if !Folder.exists(directory) {
      try Folder.make(directory)
      try Folder.sync(Folder.parent(of: directory))
    }
    let lock = try Self.lock(directory)
    defer { close(lock) }
    for name in try Folder.entries(of: directory) where Self.isLeftOver(name) {
      Folder.remove("\(directory)/\(name)")
    }
    let beside = path + Self.unfinishedSuffix
    let aside = path + Self.removedSuffix
    do throws(CheckpointError) {
      try Folder.make(beside)
      try fill(beside, manifest, tensors)
      try Folder.sync(beside)
      try Folder.replace(path, with: beside, aside: aside)
    } catch {
      Folder.remove(beside)
      throw error
    }
    try Folder.sync(directory)
    // Only now does the disk have the new one; until here its predecessor was kept.
    Folder.remove(beside)
    Folder.remove(aside)
    removeOld(before: path)
    return path
  }

  /// A checkpoint with a value that is not a number is worse than none: it would push out the last
  /// one that can be used.
  private static func refuseNonFinite(
    _ tensors: [CheckpointTensor], path: String
  ) throws(CheckpointError) {
    for tensor in tensors {
      for (what, values) in [("tensor", tensor.value), ("the velocity of", tensor.velocity)] {
        guard let index = values.firstNonFinite else { continue }
        throw CheckpointError(
          path: path,
          reason: "not written: \(what) \(tensor.name) is \(values[index]) at element \(index)")
      }
    }
  }

  /// Keeps two servers from writing, and cleaning up, in one directory.
  ///
  /// - Returns: a descriptor that holds the lock until it is closed.
  private static func lock(_ directory: String) throws(CheckpointError) -> Int32 {
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system("cannot be opened", directory) }
    // Where the file system has no locks it goes without.
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK else {
      close(descriptor)
      throw CheckpointError(
        path: directory, reason: "another process is writing checkpoints there")
    }
    return descriptor
  }

  private func fill(
    _ folder: String, _ manifest: CheckpointManifest, _ tensors: [CheckpointTensor]
  ) throws(CheckpointError) {
    var manifest = manifest
    manifest.format = CheckpointManifest.currentFormat
    manifest.files = []
    // A file says itself where it belongs: two checkpoints' files cannot be mixed.
    let metadata = ["format": "pt", "run": manifest.run, "steps": "\(manifest.steps)"]
    for name in [CheckpointManifest.modelName, CheckpointManifest.optimizerName] {
      let isModel = name == CheckpointManifest.modelName
      let content = tensors.map { ($0.name, $0.shape, isModel ? $0.value : $0.velocity) }
      let path = "\(folder)/\(name)"
      let prefix: [UInt8]
      let sorted: [(name: String, shape: [Int], data: UnsafeBufferPointer<Float>)]
      do throws(SafeTensorsError) {
        (prefix, sorted) = try SafeTensorsWriter.layout(
          of: content, metadata: metadata, path: path)
      } catch {
        throw CheckpointError(error)
      }
      let parts = sorted.map { UnsafeRawBufferPointer($0.data) }
      let written = try store(path, prefix, parts)
      manifest.files.append(.init(name: name, bytes: written.bytes, crc32: written.crc32))
    }
    let path = "\(folder)/\(CheckpointManifest.fileName)"
    let text = try ManifestText.encode(manifest, path: path)
    guard text.count <= ManifestText.maximumBytes else {
      throw CheckpointError(path: path, reason: "\(text.count) bytes, too long for a manifest")
    }
    _ = try store(path, text, [])
  }

  private func store(
    _ path: String, _ prefix: [UInt8], _ parts: [UnsafeRawBufferPointer]
  ) throws(CheckpointError) -> (bytes: UInt64, crc32: String) {
    let file = try DurableFile(creating: path, diskIsFull: diskIsFull)
    try prefix.withUnsafeBufferPointer { (bytes) throws(CheckpointError) in
      try file.write(UnsafeRawBufferPointer(bytes))
    }
    for part in parts { try file.write(part) }
    return try file.finish()
  }

  /// Removes what is older than the newest `keep` complete ones, damaged ones too.
  ///
  /// What cannot be removed now is tried again after the next write: the checkpoint is written,
  /// and that is what the caller asked for.
  private func removeOld(before path: String) {
    guard let found = try? checkpoints(), let own = found.firstIndex(where: { $0.path == path })
    else { return }
    func isComplete(_ path: String) -> Bool { (try? Checkpoint(path: path, verify: false)) != nil }
    var kept = found[..<own].count { isComplete($0.path) } + 1
    let best = best
    for (_, older) in found[(own + 1)...] where older != best {
      if kept < keep {
        if isComplete(older) { kept += 1 }
        continue
      }
      // Renamed first, so that a half removed one is never taken for a checkpoint.
      let aside = older + Self.removedSuffix
      guard rename(older, aside) == 0 else { continue }
      Folder.remove(aside)
    }
  }
}
