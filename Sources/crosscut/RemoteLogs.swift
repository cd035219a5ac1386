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
    let nodes = named.isEmpty ? all(try status(client)) : named
    var marks: [NodeName: UInt64] = [:]
    let lines = try news(of: nodes, client, &marks)
    let last = lines.suffix(arguments.integer("lines") ?? 20)
    try Console.print(last.map { "\($0)\n" }.joined())
    guard arguments.has("follow") else { return ExitCode.success }
    let signals = try Signals()
    var watch = ServerWatch()
    watch.heard(try status(client))
    while !signals.wait(milliseconds: 500) {
      do {
        let record = try status(client)
        watch.heard(record)
        let lines = try news(of: named.isEmpty ? all(record) : named, client, &marks)
        watch.succeeded()
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

  /// The lines after the marks, in the order of their times; sets the marks.
  private static func news(
    of nodes: [NodeName], _ client: StatusClient, _ marks: inout [NodeName: UInt64]
  ) throws -> [Substring] {
    var lines: [Substring] = []
    for node in nodes {
      var (text, last) = try client.log(of: node, after: marks[node] ?? 0)
      // A process that has taken the node's place counts from 1 again.
      if last < marks[node] ?? 0 { (text, last) = try client.log(of: node, after: 0) }
      marks[node] = last
      lines += text.split(separator: "\n")
    }
    return nodes.count > 1 ? lines.sorted { $0.prefix(24) < $1.prefix(24) } : lines
  }
}
