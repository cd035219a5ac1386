extension CheckpointStore {
  /// The folder of a run directory that its checkpoints are in.
  package static let folderName = "checkpoints"

  /// The checkpoints that a path stands for: a run directory's, a checkpoints folder's, or one.
  ///
  /// - Parameter withAside: whether those are wanted too that were put aside, after the others.
  /// - Returns: newest first; at least one, which may be refused.
  /// - Throws: `CheckpointError` if there is no such directory, or no checkpoint in it.
  package static func find(
    _ path: String, withAside: Bool = false
  ) throws(CheckpointError) -> [Listing] {
    let path = Folder.trimmed(path)
    let entries = try Folder.entries(of: path)
    guard Folder.exists(path) else {
      throw CheckpointError(path: path, reason: "no such directory")
    }
    let name = Folder.name(of: path)
    if CheckpointName.steps(of: name) != nil || entries.contains(CheckpointManifest.fileName) {
      return [listing(of: path, steps: CheckpointName.steps(of: name))]
    }
    let below = "\(path)/\(folderName)"
    let directory = Folder.exists(below) ? below : path
    let store = CheckpointStore(directory: directory, keep: 1)
    let found = store.list() + (withAside ? store.listAside() : [])
    guard !found.isEmpty else {
      throw CheckpointError(path: directory, reason: "there is no checkpoint")
    }
    return found
  }

  /// One checkpoint, looked at without reading its data.
  ///
  /// - Parameter steps: by its directory's name, if that has them.
  static func listing(of path: String, steps: UInt64?, isBest: Bool = false) -> Listing {
    do throws(CheckpointError) {
      let manifest = try Checkpoint(path: path, verify: false).manifest
      return Listing(
        path: path, steps: steps ?? manifest.steps, manifest: .success(manifest), isBest: isBest)
    } catch {
      return Listing(path: path, steps: steps ?? 0, manifest: .failure(error), isBest: isBest)
    }
  }
}
