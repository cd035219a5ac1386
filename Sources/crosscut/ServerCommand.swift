import Configuration
import Messages
import Nodes
import Observability
import Training
import Transport

/// `crosscut server`: the parameter server, which everybody else joins.
enum ServerCommand {
  static let command = Command(
    words: ["server"],
    summary: "run the parameter server of a cluster",
    details: [
      "Owns the convolutional parameters, the configuration and the membership. It waits for"
        + " cluster.workers workers and cluster.fcNodes FC nodes, trains, and stops with them."
    ],
    positionals: [.configuration],
    options: [
      Option(
        name: "listen", value: .text("ENDPOINT"),
        help: "Where workers, FC nodes and crosscut status connect to.", standard: "tcp://*:5555"),
      .http(standard: "off"), .httpTokenFile, .set, .workers, .fcNodes, .runDirectory, .seed,
      .resume, .goOn, .tensorboard, .verbose,
    ],
    examples: [
      Example(
        line: "crosscut server fashion --workers 4 --fc-nodes 2",
        meaning: "Then start four workers and two FC nodes anywhere."),
      Example(
        line: "crosscut server fashion --http 8080",
        meaning: "With a page about the run at http://127.0.0.1:8080/."),
    ],
    run: run)

  /// - Throws: `ConfigurationError`, or why the run failed.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    let signals = try Signals()
    try ParentDeath.watchIfChild()
    let resumed = try ResumedRun(arguments)
    let configuration = try arguments.runConfiguration(resumed: resumed)
    let listen = arguments.string("listen") ?? "tcp://*:5555"
    try Endpoint.check(listen, written: arguments.label("listen"), command: "server")
    let http = try arguments.httpOptions(standard: "off")
    let run = try RunContext(configuration)
    let directory = try RunDirectory(
      configuration.logging.runDirectory ?? RunDirectory.fresh(configuration))
    try ResumedRun.refuseForgotten(directory, resumed, arguments)
    try directory.claim()
    try directory.write(configuration)
    let log = Logger(descriptor: 2, name: "server", level: NodeCommand.level(arguments))
    if let http, !http.address.isLoopback, http.token == nil {
      log.warning(
        "the page at \(http.address) is open to everybody who reaches it: see --http-token-file")
    }
    let context = try Context()
    let stop: Stop
    do {
      var server = ServerLife(
        context: context, run: run,
        options: ServerOptions(
          listen: listen, runDirectory: directory, resume: resumed?.checkpoint, http: http),
        log: log, commands: try Mailbox(), signals: signals)
      stop = try server.runToEnd(page: { try directory.write(pageAddress: $0) }) {
        try directory.write(address: $0)
      }
    } catch {
      context.terminate()
      throw error
    }
    context.terminate()
    return stop.outcome == .failed ? ExitCode.failure : ExitCode.success
  }
}
