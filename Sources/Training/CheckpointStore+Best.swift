import DurableFiles
import Glibc

/// The checkpoint with the lowest validation error: `checkpoints/best` is a link to it.
extension CheckpointStore {
  /// The link's name.
  package static let bestName = "best"

  /// The directory of the best checkpoint; nil if none is marked, or it is gone.
  package var best: String? {
    let link = "\(directory)/\(Self.bestName)"
    var buffer = [UInt8](repeating: 0, count: 64)
    let count = readlink(link, &buffer, buffer.count)
    guard count < buffer.count else { return nil }
    // Where it is no link, a copy that follows links (scp -r) has made a folder of it: which
    // checkpoint that is, it says itself.
    let name =
      count > 0
      ? String(decoding: buffer[..<count], as: UTF8.self)
      : (try? Checkpoint(path: link, verify: false)).map {
        CheckpointName.ofStep($0.manifest.steps)
      }
    guard let name, CheckpointName.steps(of: name) != nil else { return nil }
    let path = "\(directory)/\(name)"
    return Folder.exists(path) ? path : nil
  }

  /// Makes the checkpoint after `steps` steps the best one.
  ///
  /// - Throws: `CheckpointError` if it is not there, or the link cannot be made.
  package func mark(best steps: UInt64) throws(CheckpointError) {
    let name = CheckpointName.ofStep(steps)
    guard Folder.exists("\(directory)/\(name)") else {
      throw CheckpointError(path: "\(directory)/\(name)", reason: "is not there")
    }
    let path = "\(directory)/\(Self.bestName)"
    // Made beside and renamed, so that there is always one.
    let beside = path + Self.unfinishedSuffix
    unlink(beside)
    guard symlink(name, beside) == 0 else { throw .system("cannot be made", beside) }
    var status = stat()
    // What a copy has made of a link. No link takes a folder's place.
    if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { Folder.remove(path) }
    guard calls.rename(beside, path) == 0 else {
      let error = CheckpointError.system("cannot be renamed", beside)
      unlink(beside)
      throw error
    }
    try Folder.sync(directory, calls)
  }
}
