import Messages
import Nodes
import Transport

/// `crosscut trace`: the timeline of a few steps of a running cluster.
enum TraceCommand {
  static let command = Command(
    words: ["trace"],
    summary: "write the timeline of a few steps of a running cluster, for Perfetto",
    details: [
      "Every node notes what its compute thread does and which messages come and go; the server"
        + " puts that on one time line. The file is a Chrome trace: open it at"
        + " https://ui.perfetto.dev or chrome://tracing. The training is not disturbed. It is what"
        + " crosscut plan --plot predicts, as measured.",
      "A server with keys takes it from those who have a node's key; one without keys from its own"
        + " machine only.",
    ],
    positionals: [.observedRun],
    options: [
      .observedServer, .keyFile, .refusedJoin,
      Option(
        name: "steps", value: .integer("N", 1...Limits.traceTurns), help: "So many steps.",
        standard: "3"),
      Option(name: "out", value: .text("FILE"), help: "Where to.", standard: "trace.json"),
    ],
    examples: [
      Example(line: "crosscut trace", meaning: "Three steps of the run on this machine."),
      Example(
        line: "crosscut trace --server tcp://10.0.0.1:5555 --key-file node.key --steps 10",
        meaning: "Ten of a run elsewhere."),
    ],
    exitCodes: [
      ExitCode(code: ExitCode.success, meaning: "The file is written."),
      ExitCode(code: ExitCode.failure, meaning: "The server refuses, or there is none."),
      ExitCode(code: ExitCode.usage, meaning: "The command line is wrong."),
    ],
    run: run)

  /// Longer than the server waits for its nodes.
  private static let patienceMilliseconds = 660_000

  /// - Throws: why there is no trace.
  private static func run(_ arguments: ParsedArguments) throws -> Int32 {
    let credentials = try arguments.operatorCredentials()
    let endpoint = try arguments.serverAddress(credentials, standard: Endpoint.standardServer)
    let path = arguments.string("out") ?? "trace.json"
    let turns = arguments.integer("steps") ?? 3
    let context = try Context()
    defer { context.terminate() }
    let client = try StatusClient(context: context, endpoint: endpoint, credentials: credentials)
    defer { client.close() }
    // A server that is not there shall not be waited for as long as for slow steps.
    _ = try client.status(
      timeoutMilliseconds: StatusClient.workPatienceMilliseconds)
    let (text, json) = try client.trace(
      turns: turns, timeoutMilliseconds: patienceMilliseconds)
    try OutputFile.write(json, to: path)
    try Console.print("\(path): \(text)\n")
    return ExitCode.success
  }
}
