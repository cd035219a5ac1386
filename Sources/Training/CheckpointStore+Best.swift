import DurableFiles
import Glibc

/// The checkpoint with the lowest validation error: `checkpoints/best` is a link to it.
extension CheckpointStore {
  /// The link's name.
  package static let bestName = "best"

  /// The directory of the best checkpoint; nil if none is marked, or it is gone.
  package var best: String? {
    var buffer = [UInt8](repeating: 0, count: 64)
    let count = readlink("\(directory)/\(Self.bestName)", &buffer, buffer.count)
    guard count > 0, count < buffer.count else { return nil }
    let name = String(decoding: buffer[..<count], as: UTF8.self)
    let path = "\(directory)/\(name)"
    return CheckpointName.steps(of: name) != nil && Folder.exists(path) ? path : nil
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
    guard calls.rename(beside, path) == 0 else { throw .system("cannot be renamed", beside) }
    try Folder.sync(directory, calls)
  }
}
