import Messages
import Nodes
import Observability
import Transport

/// The logs of a cluster's processes, asked for at its server.
enum RemoteLogs {
  /// - Throws: `UsageError` for a name that is no node's; why there is no log.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    let named = try arguments.positionals.map { try arguments.node(named: $0) }
    let credentials = try arguments.operatorCredentials()
    let endpoint = try arguments.serverAddress(credentials, standard: Endpoint.standardServer)
    let context = try Context()
    defer { context.terminate() }
    let client = try StatusClient(context: context, endpoint: endpoint, credentials: credentials)
    defer { client.close() }
    let record = try status(client)
    let nodes = named.isEmpty ? all(record) : named
    var marks = LogMarks()
    let (lines, problems) = try marks.news(of: nodes, record) { try client.log(of: $0, after: $1) }
    if let problem = problems.first { throw problem }
    let last = lines.suffix(arguments.integer("lines") ?? 20)
    try Console.print(last.map { "\($0)\n" }.joined())
    guard arguments.has("follow") else { return ExitCode.success }
    let signals = try Signals()
    var watch = ServerWatch()
    watch.heard(record)
    while !signals.wait(milliseconds: 500) {
      do {
        let record = try status(client)
        watch.heard(record)
        let (lines, problems) = try marks.news(of: named.isEmpty ? all(record) : named, record) {
          try client.log(of: $0, after: $1)
        }
        // Whoever says that there is no such node is there: it is the node that is waited for.
        watch.succeeded()
        for problem in problems { Console.printError("crosscut: \(problem)") }
        guard try Console.print(lines.map { "\($0)\n" }.joined()) else { break }
      } catch let error as NodeError {
        guard try StatusCommand.goesOn(&watch, arguments, error) else { break }
      }
    }
    return ExitCode.success
  }

  private static func status(_ client: StatusClient) throws -> StatusRecord {
    try client.status(timeoutMilliseconds: StatusClient.workPatienceMilliseconds)
  }

  /// The server and its nodes.
  private static func all(_ record: StatusRecord) -> [NodeName] {
    [.server] + record.nodes.filter { $0.state != .gone }.map(\.name)
  }
}
