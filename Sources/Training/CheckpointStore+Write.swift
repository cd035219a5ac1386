import CLinux
import DurableFiles
import Glibc

extension CheckpointStore {
  /// Writes a checkpoint and then removes those beyond the newest `keep`.
  ///
  /// Never removed are the one just written, the best one, and any of a later step. A checkpoint of the
  /// same step is replaced.
  ///
  /// - Parameters:
  ///   - manifest: its format and its files are filled in here.
  ///   - tensors: every parameter of the network, whole.
  /// - Returns: the checkpoint's directory.
  /// - Throws: `CheckpointError` if a value is infinite or not a number, another process writes
  ///   there, or the disk fails; what was there before is then as it was, unless only the directory
  ///   could not be synced: then the new one is there, and the old one kept until the next write.
  package func write(
    _ manifest: CheckpointManifest, tensors: [CheckpointTensor]
  ) throws(CheckpointError) -> String {
    let draft = try CheckpointDraft(
      in: self, steps: manifest.steps, tensors: tensors.map { ($0.name, $0.shape) })
    for tensor in tensors {
      try draft.write(tensor.name, velocity: false, at: 0, tensor.value)
      try draft.write(tensor.name, velocity: true, at: 0, tensor.velocity)
    }
    return try draft.finish(manifest)
  }

  /// Makes the directory if it is not there, and removes what writers that were killed have left.
  ///
  /// - Returns: a descriptor that keeps other processes out until it is closed.
  func prepareToWrite() throws(CheckpointError) -> Int32 {
    if !Folder.exists(directory) {
      try Folder.make(directory)
      try Folder.sync(FolderNames.folder(of: directory), calls)
    }
    let lock = try Self.lock(directory)
    do throws(CheckpointError) {
      let left = try Folder.entries(of: directory).filter(Self.isLeftOver)
      // What was left may have had a checkpoint's name when the disk was synced last.
      if !left.isEmpty { try Folder.sync(directory, calls) }
      for name in left where !restore(name) { Folder.remove("\(directory)/\(name)") }
    } catch {
      close(lock)
      throw error
    }
    return lock
  }

  /// Gives a checkpoint its name back that was put aside for one that then did not come.
  private func restore(_ name: String) -> Bool {
    guard name.hasSuffix(Self.removedSuffix) else { return false }
    let own = String(name.dropLast(Self.removedSuffix.count))
    let (aside, path) = ("\(directory)/\(name)", "\(directory)/\(own)")
    // One that was being removed has lost its manifest, or is too old once more after this write.
    guard !Folder.exists(path), let found = try? Checkpoint(path: aside, verify: false),
      found.manifest.steps == CheckpointName.steps(of: own),
      // One too many: it was to go, and must not take the room of the one that is to come.
      ((try? checkpoints()) ?? []).count(where: { $0.steps > found.manifest.steps }) < keep
    else { return false }
    return calls.rename(aside, path) == 0
  }

  /// Gives a directory whose files are on the disk its place. What stood there before has the name
  /// `beside`, or that of what is being removed, until `settle`.
  ///
  /// - Throws: `CheckpointError`; all is then as it was.
  func place(_ beside: String, as path: String) throws(CheckpointError) {
    try Folder.replace(path, with: beside, aside: path + Self.removedSuffix, calls)
  }

  /// Waits until the disk has the name that `place` gave, then removes what stood there before and
  /// those that are too many, but not the one of step `spared`.
  ///
  /// - Throws: `CheckpointError` if nobody knows whether the disk has it. Nothing is removed then:
  ///   whichever of the two it has under the name, it has all of it.
  func settle(
    _ path: String, for beside: String, sparing spared: UInt64?
  ) throws(CheckpointError) {
    try Folder.sync(directory, calls)
    Folder.remove(beside)
    Folder.remove(path + Self.removedSuffix)
    removeOld(before: path, sparing: spared)
  }

  /// Keeps two servers from writing, and cleaning up, in one directory.
  ///
  /// - Returns: a descriptor that holds the lock until it is closed.
  static func lock(_ directory: String) throws(CheckpointError) -> Int32 {
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system("cannot be opened", directory) }
    // Where the file system has no locks it goes without.
    guard crosscut_lock(descriptor) == 0 || errno != EWOULDBLOCK else {
      close(descriptor)
      throw CheckpointError(
        path: directory, reason: "another process is writing checkpoints there")
    }
    return descriptor
  }

  /// Removes what is older than the newest `keep` complete ones, damaged ones too.
  ///
  /// What cannot be removed now is tried again after the next write: the checkpoint is written,
  /// and that is what the caller asked for.
  ///
  /// - Parameters:
  ///   - path: what was written last.
  ///   - spared: the step of one that stays, because somebody may yet go back to it.
  package func removeOld(before path: String, sparing spared: UInt64?) {
    guard let found = try? checkpoints(), let own = found.firstIndex(where: { $0.path == path })
    else { return }
    func isComplete(_ path: String) -> Bool { (try? Checkpoint(path: path, verify: false)) != nil }
    var kept = found[..<own].count { isComplete($0.path) } + 1
    let best = best
    for (steps, older) in found[(own + 1)...] where older != best {
      if kept < keep {
        if isComplete(older) { kept += 1 }
        continue
      }
      guard steps != spared else { continue }
      // Renamed first, so that a half removed one is never taken for a checkpoint.
      let aside = older + Self.removedSuffix
      guard calls.rename(older, aside) == 0 else { continue }
      Folder.remove(aside)
    }
  }
}
