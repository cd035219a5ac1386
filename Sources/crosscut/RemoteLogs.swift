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
    var marks: [NodeName: Mark] = [:]
    let lines = try news(of: nodes, record, client, &marks)
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
        let lines = try news(
          of: named.isEmpty ? all(record) : named, record, client, &marks)
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

  /// What has been shown of a node's log.
  private struct Mark {
    /// The process: one that takes its place counts its lines from 1 again.
    var life = ""
    var number: UInt64 = 0
    /// The time at the beginning of the last line.
    var time = ""
  }

  private static func life(of node: NodeName, _ record: StatusRecord) -> String {
    guard node != .server else { return record.run }
    return record.nodes.first { $0.name == node }.map { "\($0.host) \($0.processID)" } ?? ""
  }

  /// The lines after the marks, in the order of their times; sets the marks.
  private static func news(
    of nodes: [NodeName], _ record: StatusRecord, _ client: StatusClient,
    _ marks: inout [NodeName: Mark]
  ) throws -> [Substring] {
    var lines: [Substring] = []
    for node in nodes {
      var mark = marks[node] ?? Mark()
      let life = life(of: node, record)
      let isOther = life != mark.life
      let (text, last) = try client.log(of: node, after: isOther ? 0 : mark.number)
      var new = text.split(separator: "\n")
      // A server that cuts the layers anew has another run's number, and its log as before.
      if isOther { new.removeAll { $0.prefix(timeWidth) <= mark.time } }
      mark = Mark(
        life: life, number: last, time: new.last.map { String($0.prefix(timeWidth)) } ?? mark.time)
      marks[node] = mark
      lines += new
    }
    return nodes.count > 1
      ? lines.sorted { $0.prefix(timeWidth) < $1.prefix(timeWidth) } : lines
  }

  /// Characters of the time that a line begins with.
  private static let timeWidth = 24
}
