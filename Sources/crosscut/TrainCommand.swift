import Configuration
import Glibc
import Nodes
import Observability
import Planning
import Training

/// `crosscut train`: a whole cluster on this machine.
enum TrainCommand {
  static let command = Command(
    words: ["train"],
    summary: "train a network with a whole cluster on this machine",
    details: [
      "Starts the parameter server, K workers and M FC nodes as child processes, shows their"
        + " progress and ends with the test accuracy. Ctrl-C stops all of them."
    ],
    positionals: [.configuration],
    options: [
      .set, .workers, .fcNodes, .serverShards, .minimumWorkers, .fcLoss, .fcMirror,
      Option(
        name: "layout", value: .text("LAYOUT"),
        help:
          "separate: a process for each role. beside: FC node i and server shard i in the process"
          + " of worker i.",
        standard: "separate"),
      Option(
        name: "in-process", help: "Run the roles as threads of this process, without children."),
      Option(
        name: "listen", value: .text("ENDPOINT"),
        help: "Where the server listens, for crosscut status and for more workers.",
        standard: "tcp://127.0.0.1:5555, or a free port if that one is in use"),
      Option(
        name: "secure",
        help: "Encrypt everything, and let in only those who have a key: RUN/keys has them, and"
          + " crosscut token RUN prints a token for more workers."),
      .insecure, .http(standard: HTTPArguments.trainStandard), .httpTokenFile, .runDirectory,
      .seed, .resume, .goOn, .tensorboard, .allowDrills,
      Option(
        name: "dry-run",
        help:
          "Check everything, print what the run would do and stop; with --json its configuration."
      ),
      .json,
    ],
    examples: [
      Example(
        line: "crosscut train", meaning: "The preset fashion: a small AlexNet on Fashion-MNIST."),
      Example(
        line: "crosscut train alexnet-owt --workers 2 --set steps=20",
        meaning: "Twenty steps of AlexNet on synthetic images."),
      Example(
        line: "crosscut train my.json5 --set optimizer.learningRate=0.02",
        meaning: "A file of one's own, with one value changed."),
    ],
    run: run)

  /// - Throws: `ConfigurationError`, or why the run failed.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    // To read a large checkpoint takes minutes, and before that there is nothing to be saved.
    Signals.endAtOnce()
    var made: RunDirectory?
    do {
      return try train(arguments, &made)
    } catch {
      throw made.map { withoutTrace($0, error) } ?? error
    }
  }

  /// - Parameter made: a directory that is made for this run.
  private static func train(
    _ arguments: ParsedArguments, _ made: inout RunDirectory?
  ) throws -> Int32 {
    var resumed = try ResumedRun(arguments)
    var configuration = try arguments.runConfiguration(resumed: resumed)
    let layout = try arguments.layout()
    if layout == .beside, arguments.has("in-process") {
      throw UsageError(
        command: "train",
        message: "\(arguments.label("layout")) is about processes, and with"
          + " \(arguments.label("in-process")) there is one")
    }
    if arguments.has("json"), !arguments.isInherited("json"), !arguments.has("dry-run") {
      throw UsageError(command: "train", message: "--json goes with --dry-run")
    }
    try arguments.refuseContradiction("secure", "insecure")
    if arguments.has("dry-run") {
      let context = try RunContext(configuration)
      if arguments.has("json") {
        try Console.print(configuration.resolvedJSON() + "\n")
        return ExitCode.success
      }
      let directory = configuration.logging.runDirectory ?? "a new one under runs/"
      try Console.print(
        TrainingPlan(context, arguments.openData(context, resumed), runDirectory: directory).text
          + (resumed.map { TrainingPlan.beginning(from: $0.checkpoint) } ?? ""))
      return ExitCode.success
    }
    if arguments.has("listen") {
      _ = try Endpoint.listening(
        arguments, standard: ("", ""), isSecure: arguments.has("secure"), staysHere: true)
    }
    let allowsDrills = arguments.has("allow-drills")
    guard !allowsDrills || !arguments.has("in-process") else {
      throw UsageError(
        command: "train",
        message: "--allow-drills and --in-process exclude each other: a drill is for a process")
    }
    let http = try arguments.httpOptions(standard: HTTPArguments.trainStandard)
    // What is wrong with the machine or the data is said before any process starts.
    let context = try RunContext(configuration)
    try context.checkPrecision()
    try arguments.openData(context, resumed)
    let signals = try Signals(children: !arguments.has("in-process"))
    let isNew = configuration.logging.runDirectory.map { !RunDirectory.exists($0) } ?? true
    let directory =
      try configuration.logging.runDirectory.map { path throws(NodeError) in try RunDirectory(path)
      }
      ?? RunDirectory.fresh(configuration)
    if isNew { made = directory }
    try directory.claimAsLauncher()
    try ResumedRun.refuseForgotten(directory, resumed, arguments)
    if let newer = try ResumedRun.newer(than: resumed, in: directory, arguments) {
      resumed = newer
      configuration = try arguments.runConfiguration(resumed: newer)
    }
    let goesOn = ResumedRun.goesOn(resumed, in: directory, arguments)
    let keys = arguments.has("secure") ? directory.keys : nil
    try keys?.create()
    let output = try OutputThread(STDOUT_FILENO)
    defer { output.finish() }
    let display = ProgressDisplay(configuration, directory) { output.write($0, isPassing: $1) }
    display.begin(inProcess: arguments.has("in-process"))
    let record: StatusRecord
    if arguments.has("in-process") {
      record = try InProcessTraining(
        configuration, directory, signals, keys: keys, resume: resumed?.checkpoint, goesOn: goesOn
      ).run(listen: arguments.string("listen"), http: http, display)
    } else {
      record = try LocalCluster(
        configuration, directory: directory, resume: resumed?.checkpoint, goesOn: goesOn,
        signals: signals,
        serverArguments: arguments.httpServerArguments(http), allowsDrills: allowsDrills,
        keys: keys, isBeside: layout == .beside
      ).run(
        listen: arguments.string("listen")
      ) { report in
        switch report {
        case .status(let record): display.show(record)
        case .note(let text): display.note(text)
        }
      }
    }
    display.end(record)
    return ExitCode.success
  }

  /// Takes back the directory of a run that did not begin, and the mention of its log.
  private static func withoutTrace(_ directory: RunDirectory, _ error: any Error) -> any Error {
    let text = "\(error)"
    let log = " (\(directory.log("server")))"
    guard error is NodeError, text.hasSuffix(log), !text.contains("see its log"),
      directory.removeUnlessBegun()
    else { return error }
    return NodeError("\(text.dropLast(log.count))")
  }
}
