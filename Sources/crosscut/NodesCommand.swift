import Nodes
import Observability
import Transport

/// `crosscut nodes`: who is in the cluster.
enum NodesCommand {
  static let command = Command(
    words: ["nodes"],
    summary: "list the nodes of a running cluster",
    positionals: [.observedRun],
    options: [.observedServer, .keyFile, .join, .json],
    examples: [
      Example(line: "crosscut nodes", meaning: "Of the run on this machine."),
      Example(
        line: "crosscut nodes --server tcp://10.0.0.1:5555 --json", meaning: "For programs."),
    ],
    run: run)

  /// - Throws: why there is no answer.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    let credentials = try arguments.credentials()
    let endpoint = try arguments.serverAddress(credentials, standard: Endpoint.standardServer)
    let context = try Context()
    defer { context.terminate() }
    let client = try StatusClient(context: context, endpoint: endpoint, credentials: credentials)
    defer { client.close() }
    let record = try client.status(
      timeoutMilliseconds: StatusClient.workPatienceMilliseconds)
    try Console.draw(
      arguments.has("json")
        ? Format.printableLines(String(decoding: NodesTable.json(record), as: UTF8.self)) + "\n"
        : NodesTable.render(record, columns: Console.width, color: Console.hasColor))
    return ExitCode.success
  }
}
