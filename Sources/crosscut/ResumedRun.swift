import Glibc
import Nodes
import Training

/// A run that `--resume` or `--continue` goes on with.
struct ResumedRun {
  /// Where it goes on if no other directory is named; `nil` for a checkpoint that lies in no run's.
  let runDirectory: String?
  let checkpoint: Checkpoint
  /// What was the newest of that directory, good or not; `nil` for a checkpoint that was named.
  private let newest: String?

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
      if let resumed = try ResumedRun(newestIn: path, isPatient: true) {
        self = resumed
        return
      }
      if !arguments.has("resume") {
        guard let resumed = try ResumedRun(originOf: path) else { return nil }
        self = resumed
        return
      }
    }
    guard let path = arguments.string("resume") else { return nil }
    try self.init(path)
    guard runDirectory != nil || arguments.positional(0) != nil else {
      throw UsageError(
        command: arguments.command.name,
        message: "\(checkpoint.path) lies in no run's directory, whose configuration could serve:"
          + " name CONFIG")
    }
  }

  /// - Parameter path: a run directory or its checkpoints folder, whose newest good checkpoint is
  ///   taken, or one checkpoint.
  private init(_ path: String) throws {
    var path = RunDirectory.named(path)
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    guard RunDirectory.exists(path) else {
      let own = path.firstRange(of: ".aside").map { String(path[..<$0.lowerBound]) }
      let hint = own.flatMap { RunDirectory.exists($0) ? "; \($0) has its name again" : nil }
      throw NodeError("\(path): there is no such directory\(hint ?? "")")
    }
    if try RunDirectory.contents(of: path + "/manifest.json") != nil {
      checkpoint = try Checkpoint(path: path)
      runDirectory = RunFolders.run(ofCheckpoint: path)
      newest = nil
      return
    }
    if let found = try ResumedRun(newestIn: path, isPatient: false) {
      self = found
      return
    }
    let store = CheckpointStore(directory: path, keep: 1)
    guard let found = try store.newestGood(Self.note) else {
      throw NodeError("there is no good checkpoint in \(path)")
    }
    checkpoint = found
    runDirectory = RunFolders.run(ofCheckpoint: found.path)
    newest = runDirectory == nil ? nil : store.list().first?.path
  }

  /// - Parameter isPatient: whether what cannot be read now is waited for, as nobody is there to try
  ///   again.
  private init?(newestIn path: String, isPatient: Bool) throws {
    guard RunDirectory.exists(path) else { return nil }
    let path = RunDirectory.named(path)
    let directory = RunDirectory(existing: path)
    newest = Self.newest(in: directory)
    let found = try directory.newestCheckpoint(
      wait: { isPatient && Self.waitASecond() }, Self.note)
    guard let found else { return nil }
    runDirectory = path
    checkpoint = found
  }

  /// Where a run has begun that has no good checkpoint of its own: without that its steps would be
  /// those of another network. `nil` if that was with random values.
  private init?(originOf path: String) throws {
    let path = RunDirectory.named(path)
    let directory = RunDirectory(existing: path)
    guard let origin = try directory.origin else {
      if directory.hasTakenSteps() {
        Self.note("\(path) has no good checkpoint: the run begins anew")
      }
      return nil
    }
    let begun = "\(path) has no good checkpoint and was begun from \(origin.path)"
    do throws(CheckpointError) {
      checkpoint = try CheckpointStore.untilReadable(wait: Self.waitASecond, Self.note) {
        _ throws(CheckpointError) in try Checkpoint(path: origin.path)
      }
    } catch {
      throw NodeError("\(begun): \(error.reason); name with --resume what it is to go on from")
    }
    let found = checkpoint.manifest
    guard found.run == origin.run, found.steps == origin.steps else {
      throw NodeError(
        "\(begun), \(origin.steps) steps of run \(origin.run): there are now \(found.steps) of run "
          + "\(found.run); name with --resume what it is to go on from")
    }
    Self.note("\(begun): it goes on after \(origin.steps) steps")
    runDirectory = path
    newest = Self.newest(in: directory)
  }

  private static func newest(in directory: RunDirectory) -> String? {
    CheckpointStore(directory: directory.checkpoints, keep: 1).list().first?.path
  }

  /// Whether a run goes on in a directory where it has come to, and not with a checkpoint that
  /// somebody has named, perhaps to undo what came later.
  static func goesOn(
    _ resumed: ResumedRun?, in directory: RunDirectory, _ arguments: ParsedArguments
  ) -> Bool {
    arguments.has("continue")
      || resumed?.newest != nil && resumed?.runDirectory.map { directory.isAt($0) } ?? false
  }

  /// What the run goes on from now that nobody else writes into its directory: the server before may
  /// have still written a newer checkpoint after it was looked for.
  ///
  /// - Returns: `nil` if that is what was found.
  static func newer(
    than resumed: ResumedRun?, in directory: RunDirectory, _ arguments: ParsedArguments
  ) throws -> ResumedRun? {
    guard goesOn(resumed, in: directory, arguments), newest(in: directory) != resumed?.newest else {
      return nil
    }
    return try ResumedRun(newestIn: directory.path, isPatient: arguments.has("continue"))
  }

  private static func waitASecond() -> Bool {
    poll(nil, 0, 1000)
    return true
  }

  private static func note(_ line: String) { Console.printError("crosscut: \(line)") }

  /// Refuses to begin anew, or with another run's checkpoint, beside the checkpoints of an earlier
  /// run, which would later be taken for this one's.
  static func refuseForgotten(
    _ directory: RunDirectory, _ resumed: ResumedRun?, _ arguments: ParsedArguments
  ) throws(UsageError) {
    guard !arguments.has("continue"), directory.hasCheckpoints,
      resumed?.runDirectory.map({ !directory.isAt($0) }) ?? true
    else { return }
    throw UsageError(
      command: arguments.command.name,
      message: "\(directory.path) holds checkpoints of an earlier run: add --continue to go on"
        + " from the newest, or take another --run-dir")
  }
}
