import Glibc
import Messages
import Nodes
import Observability
import Transport

/// `crosscut drill`: a fault on a running cluster, and a report of what came of it.
enum DrillCommand {
  static let command = Command(
    words: ["drill"],
    summary: "have a node of a running cluster fail, and report what comes of it",
    details: [
      "KIND is kill (the process kills itself), stop (it stops and goes on later), hang (its"
        + " compute thread sleeps), delay, drop or corrupt (what it sends), or disk-full"
        + " (checkpoints fail; the server only). The report says when the server noticed, when"
        + " training went on, when the cluster was whole again, what was repeated and what the loss"
        + " is. A cut message is refused by whoever gets it, never trained with.",
      "Works on servers and nodes that were started with --allow-drills, and for those who may give"
        + " commands: see crosscut set.",
    ],
    positionals: [
      Positional(name: "KIND", help: "The fault.", isRequired: true),
      Positional(
        name: "NODE",
        help: "worker-1, fc-0 or server; by itself the last worker, and the server for disk-full."),
    ],
    options: [
      .observedServer, .keyFile, .refusedJoin,
      Option(
        name: "seconds", value: .number("S", atLeast: 0.001),
        help: "How long the fault lasts; of no matter for kill.", standard: "5"),
      Option(
        name: "rate", value: .integer("P", 1...100),
        help: "How many of 100 messages drop and corrupt hit.", standard: "10"),
      Option(
        name: "latency", value: .integer("MS", 1...Drill.longestLatencyMilliseconds),
        help: "Milliseconds by which delay holds each message back.", standard: "200"),
      Option(
        name: "patience", value: .number("S", atLeast: 1),
        help: "How long to watch for the repair, after the fault's end.", standard: "120"),
    ],
    examples: [
      Example(
        line: "crosscut drill kill worker-1",
        meaning: "While crosscut train --allow-drills runs, which starts it again."),
      Example(
        line: "crosscut drill drop fc-0 --rate 2 --seconds 30", meaning: "A bad network."),
      Example(line: "crosscut drill disk-full", meaning: "Of the server's checkpoints."),
    ],
    exitCodes: [
      ExitCode(code: ExitCode.success, meaning: "The cluster is as it was before."),
      ExitCode(
        code: ExitCode.failure,
        meaning: "It is not, or the drill was refused, or no server answers."),
      ExitCode(code: ExitCode.usage, meaning: "The command line is wrong."),
    ],
    run: run)

  /// Between two looks at the status, milliseconds: what the times of the report are good to.
  private static let rhythm: Int32 = 20

  /// - Throws: `UsageError` for an unknown fault or node; the server's objection.
  private static func run(_ arguments: ParsedArguments) throws -> Int32 {
    let drill = try drill(arguments)
    let credentials = try arguments.operatorCredentials()
    let endpoint = try arguments.serverAddress(credentials, standard: Endpoint.standardServer)
    let context = try Context()
    defer { context.terminate() }
    let client = try StatusClient(context: context, endpoint: endpoint, credentials: credentials)
    defer { client.close() }
    let before = try client.status(
      timeoutMilliseconds: StatusClient.workPatienceMilliseconds)
    let target = try target(arguments, drill, before)
    let said = try client.command(.drill(drill, target: target))
    let begun = seconds()
    var report = DrillReport(drill, at: target, before: before, begun: begun)
    try Console.print("\(said): watching what comes of it\n")
    let patience = (arguments.number("patience") ?? 120) + report.duration
    while !report.isComplete(at: seconds()), seconds() - begun < patience {
      poll(nil, 0, rhythm)
      report.observe(try? client.status(timeoutMilliseconds: 500), at: seconds())
    }
    try Console.print(report.text)
    return report.isGood(at: seconds()) ? ExitCode.success : ExitCode.failure
  }

  private static func seconds() -> Double { Double(MonotonicClock.now()) / 1_000_000 }

  private static func drill(_ arguments: ParsedArguments) throws(UsageError) -> Drill {
    let word = arguments.positional(0) ?? ""
    guard let kind = Drill.Kind(rawValue: word) else {
      let known = Drill.Kind.allCases.map(\.rawValue).joined(separator: ", ")
      throw UsageError(command: "drill", message: "\"\(word)\" is no fault; there are \(known)")
    }
    let duration = ((arguments.number("seconds") ?? 5) * 1000).rounded()
    guard duration <= Double(Drill.longestMilliseconds) else {
      throw UsageError(
        command: "drill",
        message: "--seconds: at most \(Drill.longestMilliseconds / 1000), not \(duration / 1000)")
    }
    return Drill(
      kind: kind, milliseconds: max(1, Int(duration)), percent: arguments.integer("rate") ?? 10,
      latencyMilliseconds: arguments.integer("latency") ?? 200)
  }

  /// "worker-1" as a name; by itself the last worker, or the server for its disk.
  private static func target(
    _ arguments: ParsedArguments, _ drill: Drill, _ status: StatusRecord
  ) throws -> NodeName {
    guard let word = arguments.positional(1) else {
      if drill.kind == .diskFull { return .server }
      guard let last = status.nodes.last(where: { $0.role == .worker }) else {
        throw NodeError("the run has no worker: name a node")
      }
      return last.name
    }
    return try arguments.node(named: word)
  }
}
