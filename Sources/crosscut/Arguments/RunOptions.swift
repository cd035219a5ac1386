import Configuration
import Coordination
import Nodes
import Training

extension Option {
  static let observedServer = Option(
    name: "server", value: .text("ENDPOINT"), help: "The parameter server.",
    standard: Endpoint.standardServer)
  static let set = Option(
    name: "set", value: .text("KEY=VALUE"),
    help:
      "Lay a value over the configuration, e.g. optimizer.learningRate=0.02 or network.layers[2].channels=64. May be repeated.",
    isRepeated: true)
  static let workers = Option(
    name: "workers", value: .integer("K", 1...4096), help: "Workers (cluster.workers).")
  static let fcNodes = Option(
    name: "fc-nodes", value: .integer("M", 1...4096), help: "FC nodes (cluster.fcNodes).")
  static let serverShards = Option(
    name: "server-shards", value: .integer("S", 1...1024),
    help: "Parameter servers that share the conv parameters (cluster.serverShards).")
  static let minimumWorkers = Option(
    name: "min-workers", value: .integer("N", 1...4096),
    help: "With fewer workers the run pauses (cluster.minimumWorkers).")
  static let fcLoss = Option(
    name: "fc-loss", value: .text("MODE"),
    help: "When an FC node is lost: wait for another, or recut its layers among the rest"
      + " (cluster.fcLoss).")
  static let fcMirror = Option(
    name: "fc-mirror",
    help: "Keep each FC node's slice on the next one too, so that losing one costs no step"
      + " (cluster.fcMirror).")
  static let runDirectory = Option(
    name: "run-dir", value: .text("DIR"),
    help: "Where the run's files go (logging.runDirectory).", standard: "a new one under runs/")
  static let seed = Option(
    name: "seed", value: .integer("N", 0...Int.max), help: "Keys every random number (seed).")
  static let tensorboard = Option(
    name: "tensorboard",
    help: "Write TensorBoard's event files into the run directory (logging.tensorboard).")
  static let resume = Option(
    name: "resume", value: .text("DIR"),
    help: "Go on from a run's newest good checkpoint, or from the one named. Without CONFIG, with"
      + " that run's configuration; without --run-dir, in its directory, where newer checkpoints are"
      + " put aside: step-N.aside, which can be resumed too. For a copy of a checkpoint"
      + " that lies in no run's directory, CONFIG must be named, and its directory is a new one.")
  static let goOn = Option(
    name: "continue",
    help: "Go on from the newest good checkpoint in --run-dir if there is one; otherwise from"
      + " another run's that it was begun from, or start anew. What cannot be read for a moment is"
      + " tried again for a minute. Without CONFIG, with that run's configuration. For servers that"
      + " are started again by themselves.")
  static let record = Option(
    name: "record", value: .text("DIR"),
    help: "Keep the headers of the last messages in a file there, for crosscut replay.",
    standard: "none; crosscut train takes the run's directory")
  static let allowDrills = Option(
    name: "allow-drills",
    help: "Let crosscut drill have this node do faults to itself: kill itself, hang, lose messages."
  )
  static let memberListen = Option(
    name: "listen", value: .text("ENDPOINT"),
    help: "Where workers and FC nodes connect to; port 0 takes a free one.",
    standard: "tcp://*:0, or tcp://127.0.0.1:0 without a key and a server on this machine")
  static let verbose = Option(
    name: "verbose", short: "v", help: "Log more than changes of state.")
  static let json = Option(name: "json", help: "Print JSON instead of a table.")
}

extension Positional {
  static let observedRun = Positional(
    name: "RUN", help: "The run's directory, whose server is asked, instead of --server.")
  static let configuration = Positional(
    name: "CONFIG", help: "A JSON5 file, or the name of a preset (default: fashion).",
    variable: Environment.variable(of: "CONFIG"))
}

extension ParsedArguments {
  /// `--set` and the options that stand for one key, which win over it; both win over what comes
  /// from the environment.
  var configurationOverrides: [ConfigurationOverride] {
    configurationOverrides(inherited: true) + configurationOverrides(inherited: false)
  }

  private func configurationOverrides(inherited: Bool) -> [ConfigurationOverride] {
    let known = command.options.map(\.name).filter { isInherited($0) == inherited }
    var overrides: [ConfigurationOverride] = []
    if known.contains("set") {
      overrides = strings("set").map {
        ConfigurationOverride($0, option: "\(label("set")) \($0)")
      }
    }
    for (name, keyPath) in [
      ("workers", "cluster.workers"), ("fc-nodes", "cluster.fcNodes"),
      ("server-shards", "cluster.serverShards"), ("seed", "seed"),
      ("min-workers", "cluster.minimumWorkers"), ("fc-loss", "cluster.fcLoss"),
      ("run-dir", "logging.runDirectory"),
    ] where known.contains(name) {
      guard let text = string(name) else { continue }
      let value: JSONValue =
        integer(name).map { name == "run-dir" ? .string(text) : .int($0) }
        ?? .string(text)
      overrides.append(
        ConfigurationOverride(keyPath, value: value, option: "\(label(name)) \(text)"))
    }
    for (name, keyPath) in [
      ("tensorboard", "logging.tensorboard"), ("fc-mirror", "cluster.fcMirror"),
    ]
    where known.contains(name) && has(name) {
      overrides.append(
        ConfigurationOverride(keyPath, value: .bool(true), option: label(name)))
    }
    return overrides
  }

  /// The run configuration that CONFIG and the options describe.
  func runConfiguration() throws(ConfigurationError) -> RunConfiguration {
    try RunConfiguration.load(positional(0), overrides: configurationOverrides)
  }

  /// The same of a run that is to be, which a plan need not be.
  ///
  /// - Parameter resumed: the run that is resumed; its configuration serves where none is named.
  func runConfiguration(
    resumed: ResumedRun?
  ) throws(ConfigurationError) -> RunConfiguration {
    let configuration =
      if let resumed {
        try configuration(of: resumed)
      } else {
        try RunConfiguration.load(
          positional(0) ?? configurationToContinue, overrides: configurationOverrides)
      }
    let workers = configuration.cluster.workers
    guard workers <= Membership.mostWorkers else {
      throw ConfigurationError(
        keyPath: "cluster.workers",
        "a run has at most \(Membership.mostWorkers) workers, not \(workers)")
    }
    if let manifest = resumed?.checkpoint.manifest {
      try manifest.checkVelocities(for: configuration)
      // Where epochs are given, the server hears of the length with its first worker.
      if let steps = configuration.steps, manifest.steps > steps {
        throw ConfigurationError(
          keyPath: "steps", RunPlan.objection(toSteps: UInt64(steps), after: manifest.steps))
      }
    }
    return configuration
  }

  /// The configuration of a run that is to go on and has no checkpoint yet.
  private var configurationToContinue: String? {
    guard has("continue"), let path = string("run-dir").map({ $0 + "/config.json" }),
      RunDirectory.exists(path)
    else { return nil }
    return path
  }

  private func configuration(
    of resumed: ResumedRun
  ) throws(ConfigurationError) -> RunConfiguration {
    var overrides = configurationOverrides
    if string("run-dir") == nil, let directory = resumed.runDirectory {
      overrides.append(
        ConfigurationOverride(
          "logging.runDirectory", value: .string(directory), option: "--resume"))
    }
    return try RunConfiguration.load(
      positional(0) ?? resumed.runDirectory.map { $0 + "/config.json" }, overrides: overrides)
  }
}
