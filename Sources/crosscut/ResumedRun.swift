import Nodes
import Training

/// A run that `--resume` or `--continue` goes on with.
struct ResumedRun {
  let runDirectory: String
  let checkpoint: Checkpoint

  /// What `--continue` finds in the run directory, or else what `--resume` names; `nil` if that is
  /// nothing.
  ///
  /// - Throws: `NodeError` or `CheckpointError` if `--resume` names no good checkpoint;
  ///   `UsageError` for `--continue` without a directory to look in.
  init?(_ arguments: ParsedArguments) throws {
    if arguments.has("continue") {
      guard let path = arguments.string("run-dir") else {
        throw UsageError(
          command: arguments.command.name,
          message: "--continue looks for checkpoints in --run-dir DIR, which is missing")
      }
      if let resumed = try ResumedRun(newestIn: path) {
        self = resumed
        return
      }
    }
    guard let path = arguments.string("resume") else { return nil }
    try self.init(path)
  }

  /// - Parameter path: a run directory, whose newest good checkpoint is taken, or one checkpoint.
  private init(_ path: String) throws {
    var path = path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    guard RunDirectory.text(of: path + "/manifest.json") == nil else {
      checkpoint = try Checkpoint(path: path)
      // RUN/checkpoints/step-00000500
      runDirectory = path.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
        .joined(separator: "/")
      return
    }
    guard let newest = try ResumedRun(newestIn: path) else {
      throw NodeError("there is no good checkpoint in \(path)/checkpoints")
    }
    self = newest
  }

  private init?(newestIn path: String) throws {
    guard RunDirectory.exists(path) else { return nil }
    let newest = try RunDirectory(path).newestCheckpoint {
      Console.printError("crosscut: \($0)")
    }
    guard let newest else { return nil }
    runDirectory = path
    checkpoint = newest
  }

  /// Refuses to begin anew beside the checkpoints of an earlier run, which would later be taken for
  /// this one's.
  static func refuseForgotten(
    _ directory: RunDirectory, _ resumed: ResumedRun?, _ arguments: ParsedArguments
  ) throws(UsageError) {
    guard resumed == nil, !arguments.has("continue"), directory.hasCheckpoints else { return }
    throw UsageError(
      command: arguments.command.name,
      message: "\(directory.path) holds checkpoints of an earlier run: add --continue to go on"
        + " from the newest, or take another --run-dir")
  }
}
