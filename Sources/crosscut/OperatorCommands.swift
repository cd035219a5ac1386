import Messages
import Nodes
import Transport

/// `crosscut checkpoint now` and `crosscut set`: what an operator has a running server do.
enum OperatorCommands {
  private static let rights =
    "A server with keys takes it from those who have a node's key; one without keys from its own"
    + " machine only. It is written into the run's event log."
  private static let exitCodes = [
    ExitCode(code: ExitCode.success, meaning: "The server does it."),
    ExitCode(code: ExitCode.failure, meaning: "It refuses, or there is no server."),
    ExitCode(code: ExitCode.usage, meaning: "The command line is wrong."),
  ]

  static let checkpointNow = Command(
    words: ["checkpoint", "now"],
    summary: "have a running cluster make a checkpoint after the next step",
    details: [rights],
    positionals: [.observedRun],
    options: [.observedServer, .keyFile, .refusedJoin],
    examples: [
      Example(line: "crosscut checkpoint now", meaning: "Of the run on this machine.")
    ],
    exitCodes: exitCodes,
    run: { try send(.checkpointNow, $0) })

  static let set = Command(
    words: ["set"],
    summary: "change the learning rate of a running cluster",
    details: [
      "Scales the schedule so that the learning rate is X two steps from now, on all nodes at the"
        + " same step. What the schedule does later is scaled alike. Checkpoints keep it.", rights,
    ],
    positionals: [Positional(name: "lr=X", help: "The learning rate.", isRequired: true)],
    options: [.observedServer, .keyFile, .refusedJoin],
    examples: [Example(line: "crosscut set lr=0.001", meaning: "Of the run on this machine.")],
    exitCodes: exitCodes,
    run: runSet)

  /// - Throws: `UsageError` for anything but a learning rate above 0; why it cannot be set.
  private static func runSet(_ arguments: ParsedArguments) throws -> Int32 {
    let text = arguments.positional(0) ?? ""
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0] == "lr" else {
      throw UsageError(
        command: "set", message: "\"\(text)\": only the learning rate can be set: lr=0.001")
    }
    guard let rate = Double(parts[1]), rate.isFinite, rate > 0 else {
      throw UsageError(
        command: "set", message: "\"\(text)\": a learning rate is a number above 0, like 0.001")
    }
    return try send(.setLearningRate(rate), arguments)
  }

  /// Sends a command to --server and prints the answer.
  ///
  /// - Throws: the server's objection, or that there is no answer.
  static func send(_ command: OperatorCommand, _ arguments: ParsedArguments) throws -> Int32 {
    let credentials = try arguments.operatorCredentials()
    let endpoint = try arguments.serverAddress(credentials, standard: Endpoint.standardServer)
    let context = try Context()
    defer { context.terminate() }
    let client = try StatusClient(context: context, endpoint: endpoint, credentials: credentials)
    defer { client.close() }
    try Console.print(try client.command(command) + "\n")
    return ExitCode.success
  }
}
