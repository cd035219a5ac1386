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
        + " cluster.workers workers and cluster.fcNodes FC nodes, trains, and stops with them.",
      "With --server-shards S it is the coordinator of S parameter servers, who share the conv"
        + " parameters and so the traffic; the others are started with --shard 1/S, 2/S ..."
        + " --coordinator ENDPOINT and have everything else from it.",
    ],
    positionals: [.configuration],
    options: [
      Option(
        name: "listen", value: .text("ENDPOINT"),
        help: "Where workers, FC nodes and crosscut status connect to.",
        standard: "tcp://*:5555, or tcp://127.0.0.1:5555 without a key; a shard's port is any"),
      Option(
        name: "shard", value: .text("I/S"),
        help: "Be parameter server I of S beside the coordinator, who is shard 0."),
      Option(
        name: "coordinator", value: .text("ENDPOINT"),
        help: "With --shard: the parameter server to join; a token says it too."),
      .join,
      Option(
        name: "key-file", value: .text("FILE"),
        help: "The server's key, made by crosscut keygen: encrypt everything and let in only those"
          + " of allowed-keys beside it. A shard's is a node's key."),
      Option(
        name: "secure",
        help: "The same; makes the folder of keys where there is none: that of --key-file, or keys"
          + " of the run's directory."),
      .insecure, .http(standard: "off"), .httpTokenFile, .set, .workers, .fcNodes, .serverShards,
      .minimumWorkers, .fcLoss, .fcMirror, .runDirectory, .seed, .resume, .goOn, .tensorboard,
      .allowDrills,
      .record, .joinTimeout, .verbose,
    ],
    examples: [
      Example(
        line: "crosscut server fashion --workers 4 --fc-nodes 2",
        meaning: "Then start four workers and two FC nodes anywhere."),
      Example(
        line: "crosscut server fashion --http 8080",
        meaning: "With a page about the run at http://127.0.0.1:8080/."),
      Example(
        line: "crosscut server --shard 1/2 --coordinator tcp://10.0.0.1:5555 --insecure",
        meaning: "The second parameter server of a run begun over there with --server-shards 2."),
    ],
    run: run)

  /// - Throws: `ConfigurationError`, or why the run failed.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    if let code = try runAsShard(arguments) { return code }
    try ParentDeath.watchIfChild()
    // To read a large checkpoint takes minutes, and before that there is nothing to be saved.
    Signals.endAtOnce()
    var resumed = try ResumedRun(arguments)
    let signals = try Signals()
    var configuration = try arguments.runConfiguration(resumed: resumed)
    try arguments.refuseContradiction("secure", "insecure")
    let isSecure = arguments.has("secure") || arguments.has("key-file")
    let listen = try Endpoint.listening(
      arguments, standard: ("tcp://*:5555", Endpoint.standardServer), isSecure: isSecure,
      staysHere: true)
    let http = try arguments.httpOptions(standard: "off")
    var run = try RunContext(configuration)
    let directory =
      try configuration.logging.runDirectory.map { path throws(NodeError) in try RunDirectory(path)
      }
      ?? RunDirectory.fresh(configuration)
    try ResumedRun.refuseForgotten(directory, resumed, arguments)
    try directory.claim()
    if let newer = try ResumedRun.newer(than: resumed, in: directory, arguments) {
      resumed = newer
      configuration = try arguments.runConfiguration(resumed: newer)
      run = try RunContext(configuration)
    }
    let log = Logger(descriptor: 2, name: "server", level: NodeCommand.level(arguments))
    var options = ServerOptions(
      listen: listen, runDirectory: directory, resume: resumed?.checkpoint, http: http)
    options.security = try security(arguments, directory, log)
    options.goesOn =
      ResumedRun.goesOn(resumed, in: directory, arguments) && directory.hasTakenSteps()
    options.allowsDrills = arguments.has("allow-drills")
    if !isSecure, !Endpoint.isLocal(listen) {
      log.warning("nothing is encrypted, and whoever reaches \(listen) can join (--insecure)")
    }
    if let http, !http.address.isLoopback, http.token == nil {
      log.warning(
        "the page at \(http.address) is open to everybody who reaches it: see --http-token-file")
    }
    let context = try Context()
    let stop: Stop
    do {
      var server = ServerLife(
        context: context, run: run, options: options, log: log, commands: try Mailbox(),
        signals: signals)
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

  /// The server's key and list, made first if need be; `nil` where nothing is to be encrypted.
  private static func security(
    _ arguments: ParsedArguments, _ run: RunDirectory, _ log: Logger
  ) throws -> ServerSecurity? {
    let given = arguments.string("key-file")
    guard arguments.has("secure") || given != nil else { return nil }
    let path = given ?? run.keys.serverKey
    if arguments.has("secure") {
      let keys = try KeyDirectory(ofServerKey: path)
      if !keys.exists {
        try keys.create()
        log.info(
          "made keys in \(keys.path): nodes join with \(keys.nodeKey(KeyDirectory.firstNode))")
      }
    }
    return try ServerSecurity(keyFile: path)
  }
}
