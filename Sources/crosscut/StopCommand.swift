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
      "Ends it as Ctrl-C in its terminal would, and waits until its server has collected and saved"
        + " the model; a second one hurries nothing and waits too. With --server it tells the server at that address, wherever it is, and"
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
      .keyFile, .refusedJoin,
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
      ExitCode(code: ExitCode.success, meaning: "The run has ended, and its model is saved."),
      ExitCode(
        code: ExitCode.failure,
        meaning: "It does not run, did not end within a minute, has failed, or died before it had"
          + " saved its model."),
      ExitCode(code: ExitCode.usage, meaning: "The command line is wrong."),
    ],
    run: run)

  /// Saving a large model takes seconds.
  private static let patience: Int32 = 60_000

  /// - Throws: `NodeError` if the run does not run or does not end.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    if try asksServer(arguments) {
      return try OperatorCommands.send(
        .stop(reason: arguments.string("reason") ?? "asked by the operator"), arguments)
    }
    let folder = try RunFolders.find(arguments.positional(0)) { path in
      let directory = RunDirectory(existing: path)
      return directory.server != nil || directory.launcher != nil
    }
    let directory = RunDirectory(existing: folder)
    // Who starts the processes has to know that the run is to end: it would start a server that dies
    // meanwhile again.
    let launcher = directory.launcher
    let process: Int32
    switch launcher ?? directory.server {
    case .here(let number): process = number
    case .elsewhere(let host):
      let address = RunDirectory.text(of: directory.address)?.split(separator: "\n").first
      throw NodeError(
        "\(folder): its server runs on \(host): crosscut stop --server \(address ?? "ENDPOINT")")
    case nil: throw noServer(folder, directory, isNamed: arguments.positional(0) != nil)
    }
    let hadSummary = directory.readSummary() != nil
    guard kill(process, Signals.orderly) == 0 else {
      throw NodeError(
        "\(folder): process \(process): \(String(cString: strerror(errno)).lowercased())")
    }
    var waited: Int32 = 0
    while directory.server != nil || launcher != nil && directory.launcher != nil {
      guard waited < patience else {
        throw NodeError(
          "\(folder): process \(process) is still ending after a minute; crosscut stop \(folder) "
            + "waits for another")
      }
      poll(nil, 0, 100)
      waited += 100
    }
    guard let record = directory.readSummary(), !hadSummary || directory.isSummaryOfServer else {
      throw NodeError(
        "\(folder): the run has ended, and its server without saving: what came after its last "
          + "checkpoint, if anything, is lost (\(directory.log("server")))")
    }
    guard record.state != .failed else {
      throw NodeError("\(folder): the run failed: \(record.message)")
    }
    try Console.print(
      "\(folder): \(record.state.rawValue) after \(record.step) of \(record.totalSteps) steps\n")
    return ExitCode.success
  }

  /// Whether a server is told and not the process of a run on this machine. RUN on the command line
  /// holds against the environment.
  private static func asksServer(_ arguments: ParsedArguments) throws(UsageError) -> Bool {
    let hasRun = arguments.positional(0) != nil
    let ways = ["server", "join"].filter(arguments.has)
    if hasRun, let way = ways.first(where: { !arguments.isInherited($0) }) {
      throw UsageError(command: "stop", message: "RUN and --\(way) exclude each other")
    }
    if !hasRun, !ways.isEmpty { return true }
    for name in ["key-file", "reason"] where arguments.has(name) && !arguments.isInherited(name) {
      throw UsageError(command: "stop", message: "--\(name) goes with --server ENDPOINT")
    }
    return false
  }

  private static func noServer(
    _ folder: String, _ directory: RunDirectory, isNamed: Bool
  ) -> NodeError {
    guard let record = directory.readSummary() else {
      return NodeError("\(folder): its server does not run on this machine")
    }
    let end = "\(record.state.rawValue) after \(record.step) of \(record.totalSteps) steps"
    return NodeError(
      isNamed
        ? "\(folder): has ended: \(end)"
        : "no run below runs/ goes on; the newest, \(folder), has ended: \(end)")
  }
}
