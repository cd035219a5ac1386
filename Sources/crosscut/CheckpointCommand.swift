import Configuration
import Training

/// `crosscut checkpoint list`, `verify` and `show`: what a run can be resumed from.
enum CheckpointCommand {
  private static let directory = Positional(
    name: "DIR", help: "A run directory, its checkpoints folder, or one checkpoint.",
    isRequired: true)

  static let list = Command(
    words: ["checkpoint", "list"],
    summary: "list the checkpoints of a run",
    details: [
      "Newest first, after them those that the run has gone back before: step-N.aside. Manifests,"
        + " sizes and headers are looked at; crosscut checkpoint verify reads the data too."
    ],
    positionals: [directory], options: [.json],
    examples: [
      Example(line: "crosscut checkpoint list runs/first", meaning: "What can be resumed from?")
    ],
    run: runList)

  static let verify = Command(
    words: ["checkpoint", "verify"],
    summary: "read every byte of a run's checkpoints and check it",
    details: [
      "Checks the checksums, and that every value is a finite number."
    ],
    positionals: [directory], options: [.json],
    examples: [
      Example(
        line: "crosscut checkpoint verify runs/first/checkpoints/step-00000500",
        meaning: "Is this one whole?")
    ],
    exitCodes: [
      ExitCode(code: ExitCode.success, meaning: "Every checkpoint is as it was written."),
      ExitCode(code: ExitCode.failure, meaning: "One is damaged, or there is none."),
      ExitCode(code: ExitCode.usage, meaning: "The command line is wrong."),
    ],
    run: runVerify)

  static let show = Command(
    words: ["checkpoint", "show"],
    summary: "print what a checkpoint says of itself, with its history",
    details: ["Of a run: its newest checkpoint that can be read."],
    positionals: [directory], options: [.json],
    examples: [
      Example(line: "crosscut checkpoint show runs/first", meaning: "How did it come to be?"),
      Example(
        line: "crosscut checkpoint show runs/first --json", meaning: "The manifest as it is."),
    ],
    run: runShow)

  /// - Throws: `CheckpointError` if there is none.
  private static func runList(_ arguments: ParsedArguments) throws -> Int32 {
    let table = CheckpointTable(
      try CheckpointStore.find(arguments.positional(0) ?? "", withAside: true))
    try Console.print(arguments.has("json") ? table.json.prettyText : table.text)
    return ExitCode.success
  }

  /// - Throws: `CheckpointError` if there is none.
  private static func runVerify(_ arguments: ParsedArguments) throws -> Int32 {
    let table = CheckpointTable(verified(try listings(arguments)))
    try Console.print(arguments.has("json") ? table.json.prettyText : table.verdicts)
    return table.isGood ? ExitCode.success : ExitCode.failure
  }

  /// The same checkpoints after every byte of them was read.
  static func verified(_ listings: [CheckpointStore.Listing]) -> [CheckpointStore.Listing] {
    // One that is passed over here could not be resumed from either: all are read.
    listings.map { listing in
      let manifest: Result<CheckpointManifest, CheckpointError>
      do throws(CheckpointError) {
        manifest = .success(try Checkpoint(path: listing.path).manifest)
      } catch {
        manifest = .failure(error)
      }
      return CheckpointStore.Listing(
        path: listing.path, steps: listing.steps, manifest: manifest, isBest: listing.isBest)
    }
  }

  /// - Throws: `CheckpointError` if there is none that can be read.
  private static func runShow(_ arguments: ParsedArguments) throws -> Int32 {
    let found = try listings(arguments)
    var refused: CheckpointError?
    for listing in found {
      switch listing.manifest {
      case .success(let manifest):
        try Console.print(
          arguments.has("json")
            ? try manifest.json(path: listing.path)
            : CheckpointTable.text(of: manifest, path: listing.path, width: Console.width))
        return ExitCode.success
      case .failure(let error):
        // The last one's reason ends the command; the others are said on the way.
        if let refused { Console.printError("crosscut: \(refused)") }
        refused = error
      }
    }
    throw refused ?? CheckpointError(path: arguments.positional(0) ?? "", reason: "no checkpoint")
  }

  /// The checkpoints that DIR stands for, newest first; at least one.
  private static func listings(
    _ arguments: ParsedArguments
  ) throws(CheckpointError) -> [CheckpointStore.Listing] {
    try CheckpointStore.find(arguments.positional(0) ?? "")
  }
}
