import DurableFiles
import Glibc

/// Going back: the newest checkpoint is always one of the course that the run has taken.
extension CheckpointStore {
  /// Takes their names from the checkpoints that the run would otherwise be resumed from some day
  /// though it does not come from them: those that are newer than where it goes on, and another one of
  /// the same step. Their files stay.
  ///
  /// - Parameters:
  ///   - checkpoint: what the run goes on from; `nil` begins it anew. One of this directory that had
  ///     been put aside gets its name back.
  ///   - note: is given a line for each that loses its name.
  /// - Throws: `CheckpointError` if another process writes there, or the disk fails.
  package func goOn(
    from checkpoint: Checkpoint?, _ note: (String) -> Void
  ) throws(CheckpointError) {
    let steps = checkpoint?.manifest.steps ?? 0
    let path = checkpoint?.path ?? ""
    // Where they cannot be read nobody takes one of them for the newest.
    let found = (try? checkpoints()) ?? []
    let own = "\(directory)/\(CheckpointName.ofStep(steps))"
    let wasAside =
      Folder.name(of: path).contains(Self.asideSuffix)
      && FolderNames.isSame(FolderNames.folder(of: path), directory)
    let others = found.filter { other in
      guard other.steps >= steps, !FolderNames.isSame(other.path, path) else { return false }
      guard other.steps == steps, !wasAside, let checkpoint else { return true }
      // Of a copy, as `best` may be one, the original serves as well.
      return (try? Checkpoint(path: other.path))?.manifest != checkpoint.manifest
    }
    guard !others.isEmpty || wasAside else { return }
    let lock = try Self.lock(directory)
    defer { close(lock) }
    let best = best
    for (_, other) in others {
      let aside = Self.free(other + Self.asideSuffix)
      guard calls.rename(other, aside) == 0 else { throw .system("cannot be renamed", other) }
      note("\(other) is now \(Folder.name(of: aside)): training goes on after \(steps) steps")
      if other == best { unlink("\(directory)/\(Self.bestName)") }
    }
    if wasAside {
      guard calls.rename(path, own) == 0 else { throw .system("cannot be renamed", path) }
      note("\(path) is \(Folder.name(of: own)) again")
    }
    try Folder.sync(directory, calls)
  }

  /// A name that nothing has, made of this one.
  private static func free(_ name: String) -> String {
    var free = name
    var number = 1
    while Folder.exists(free) {
      number += 1
      free = "\(name)-\(number)"
    }
    return free
  }
}
