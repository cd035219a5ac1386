import Nodes
import Observability
import Transport

/// `crosscut status`: what a running cluster does.
enum StatusCommand {
  static let command = Command(
    words: ["status"],
    summary: "show what a running cluster does, node by node",
    positionals: [.observedRun],
    options: [
      .observedServer, .keyFile, .join,
      Option(name: "watch", help: "Show it again every second until Ctrl-C or the end of the run."),
      .json,
      Option(
        name: "why", help: "Show who waits for whom, for what and since when, to the root cause."),
    ],
    examples: [
      Example(line: "crosscut status --watch", meaning: "Follow the run on this machine."),
      Example(line: "crosscut status runs/mine", meaning: "Of the run in that directory."),
      Example(
        line: "crosscut status --server tcp://10.0.0.1:5555 --why",
        meaning: "Why does the run over there not move?"),
    ],
    exitCodes: [
      ExitCode(code: ExitCode.success, meaning: "The server answered."),
      ExitCode(code: ExitCode.failure, meaning: "There is no server, or it did not answer."),
      ExitCode(code: ExitCode.usage, meaning: "The command line is wrong."),
    ],
    run: run)

  /// - Throws: why there is no status.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    let credentials = try arguments.credentials()
    let endpoint = try arguments.serverAddress(credentials, standard: Endpoint.standardServer)
    let context = try Context.ofProcess()
    let client = try StatusClient(context: context, endpoint: endpoint, credentials: credentials)
    defer { client.close() }
    guard arguments.has("watch") else {
      try Console.draw(text(try client.status(), arguments))
      return ExitCode.success
    }
    let signals = try Signals()
    let screen = LiveScreen()
    defer { screen.close() }
    var watch = ServerWatch()
    while true {
      do {
        let record = try client.status()
        watch.heard(record)
        watch.succeeded()
        guard try screen.show(text(record, arguments)) else { break }
      } catch let error as NodeError {
        guard try goesOn(&watch, arguments, error) else { break }
      }
      // Asked more often than shown: the end is short.
      for _ in 0..<4 {
        guard !signals.wait(milliseconds: 250) else { return ExitCode.success }
        if let record = try? client.status() { watch.heard(record) }
      }
    }
    return ExitCode.success
  }

  /// Whether a server that does not answer is waited for; says why not.
  ///
  /// - Throws: `error` where nobody is to be expected.
  static func goesOn(
    _ watch: inout ServerWatch, _ arguments: ParsedArguments, _ error: NodeError
  ) throws -> Bool {
    let run = arguments.observedRun.flatMap { try? RunFolders.find($0) }
    let summary = run.flatMap { RunDirectory(existing: $0).readSummary() }
    switch watch.missed(now: MonotonicClock.now(), summary: summary) {
    case .lost: throw error
    case .wait(let line):
      if let line { Console.printError("crosscut: \(error): \(line)") }
      return true
    case .ended(let text):
      Console.printError("crosscut: \(text)")
      return false
    }
  }

  private static func text(_ record: StatusRecord, _ arguments: ParsedArguments) -> String {
    if arguments.has("json") {
      return Format.printableLines(String(decoding: record.json(), as: UTF8.self)) + "\n"
    }
    if arguments.has("why") { return Format.printableLines(WhyReport(record).render()) }
    return StatusTable.render(record, columns: Console.width, color: Console.hasColor)
  }
}

extension Context {
  /// One that nobody ends: its end would wait for a name lookup under way, which may take longer than
  /// whoever asks has patience; the process's end does not.
  static func ofProcess() throws(TransportError) -> Context {
    let context = try Context()
    _ = Unmanaged.passRetained(context)
    return context
  }
}
