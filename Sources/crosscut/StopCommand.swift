import Glibc
import Nodes
import Observability
import Transport

/// `crosscut stop`: the orderly end of a run on this machine, as by Ctrl-C.
enum StopCommand {
  static let command = Command(
    words: ["stop"],
    summary: "end a run on this machine in order, and save its model",
    details: [
      "Tells the run's server, as Ctrl-C in its terminal would; waits until it has collected and"
        + " saved the model. It has to be called on the server's machine, by its user."
    ],
    positionals: [
      Positional(name: "RUN", help: "The run's directory; by itself the newest one under runs/.")
    ],
    examples: [
      Example(line: "crosscut stop", meaning: "The newest run."),
      Example(line: "crosscut stop runs/mine", meaning: "Another one."),
    ],
    exitCodes: [
      ExitCode(code: ExitCode.success, meaning: "The run has ended."),
      ExitCode(code: ExitCode.failure, meaning: "It does not run, or did not end within a minute."),
      ExitCode(code: ExitCode.usage, meaning: "The command line is wrong."),
    ],
    run: run)

  /// Saving a large model takes seconds.
  private static let patience: Int32 = 60_000

  /// - Throws: `NodeError` if the run does not run or does not end.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    let folder = try RunFolders.find(arguments.positional(0))
    let directory = try RunDirectory(folder)
    guard let process = directory.serverProcess else {
      throw NodeError("\(folder): its server does not run on this machine")
    }
    guard kill(process, SIGTERM) == 0 else {
      throw NodeError(
        "\(folder): process \(process): \(String(cString: strerror(errno)).lowercased())")
    }
    var waited: Int32 = 0
    while directory.serverProcess != nil {
      guard waited < patience else {
        throw NodeError("\(folder): process \(process) is still ending after a minute")
      }
      poll(nil, 0, 100)
      waited += 100
    }
    let record = directory.readSummary()
    let message = record.map { "\($0.state.rawValue) after \($0.step) of \($0.totalSteps) steps" }
    try Console.print("\(folder): \(message ?? "ended")\n")
    return ExitCode.success
  }
}
