import Nodes
import Training

/// A run that `--resume` goes on with.
struct ResumedRun {
  let runDirectory: String
  let checkpoint: Checkpoint

  /// - Parameter path: a run directory, whose newest good checkpoint is taken, or one checkpoint;
  ///   `nil` resumes nothing.
  /// - Throws: `NodeError` or `CheckpointError` if there is no good checkpoint.
  init?(_ path: String?) throws {
    guard var path else { return nil }
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    guard RunDirectory.text(of: path + "/manifest.json") == nil else {
      checkpoint = try Checkpoint(path: path)
      // RUN/checkpoints/step-00000500
      runDirectory = path.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
        .joined(separator: "/")
      return
    }
    runDirectory = path
    let store = CheckpointStore(directory: path + "/checkpoints", keep: 1)
    guard let newest = store.newestGood({ Console.printError("crosscut: \($0)") }) else {
      throw NodeError("there is no good checkpoint in \(path)/checkpoints")
    }
    checkpoint = newest
  }
}
