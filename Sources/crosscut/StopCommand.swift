import Glibc
import Messages
import Nodes
import Observability
import Transport

/// `crosscut stop`: the orderly end of a run, as by Ctrl-C.
enum StopCommand {
  static let command = Command(
    words: ["stop"],
    summary: "end a run in order, and save its model",
    details: [
      "Tells the run's server, as Ctrl-C in its terminal would; waits until it has collected and"
        + " saved the model. With --server it tells the server at that address, wherever it is, and"
        + " does not wait; by itself the newest run under runs/ that goes on."
    ],
    positionals: [
      Positional(
        name: "RUN", help: "The run's directory; by itself the newest of runs/ that goes on.")
    ],
    options: [
      Option(
        name: "server", value: .text("ENDPOINT"),
        help: "The parameter server to tell, instead of a run's directory."),
      .keyFile, .join,
      Option(
        name: "reason", value: .text("TEXT"), help: "For the event log (with --server).",
        standard: "asked by the operator"),
    ],
    examples: [
      Example(line: "crosscut stop", meaning: "The newest run that goes on."),
      Example(line: "crosscut stop runs/mine", meaning: "Another one."),
      Example(
        line: "crosscut stop --server tcp://10.0.0.1:5555 --key-file node.key",
        meaning: "On another machine."),
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
    let remote = arguments.string("server") != nil
    if remote, arguments.positional(0) == nil || !arguments.isInherited("server") {
      guard arguments.positional(0) == nil else {
        throw UsageError(
          command: "stop", message: "RUN and \(arguments.label("server")) exclude each other")
      }
      return try OperatorCommands.send(
        .stop(reason: arguments.string("reason") ?? "asked by the operator"), arguments)
    }
    let folder = try RunFolders.find(arguments.positional(0)) { path in
      RunDirectory(existing: path).server != nil
    }
    let directory = RunDirectory(existing: folder)
    let process: Int32
    switch directory.server {
    case .here(let number): process = number
    case .elsewhere(let host):
      let address = RunDirectory.text(of: directory.address)?.split(separator: "\n").first
      throw NodeError(
        "\(folder): its server runs on \(host): crosscut stop --server \(address ?? "ENDPOINT")")
    case nil: throw NodeError("\(folder): its server does not run on this machine")
    }
    guard kill(process, SIGTERM) == 0 else {
      throw NodeError(
        "\(folder): process \(process): \(String(cString: strerror(errno)).lowercased())")
    }
    var waited: Int32 = 0
    while directory.server != nil {
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
