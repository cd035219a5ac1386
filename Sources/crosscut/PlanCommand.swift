import Tensors
import Configuration
import Nodes
import Planning
import Training

/// `crosscut plan`: what a cluster would do, before it is bought or started.
enum PlanCommand {
  static let command = Command(
    words: ["plan"],
    summary: "predict bytes, step time and scaling of a cluster, and recommend one",
    details: [
      "Measures this machine's kernels for a few seconds (or takes --flops), works out what each"
        + " layer costs and moves, and predicts a step: its time, what it hangs on, and the fastest"
        + " numbers of FC nodes and server shards and schedule, beside ring all-reduce and a parameter server on the"
        + " same machines.",
      "The forecast from 1 to 4096 workers gives each of them as many examples as CONFIG does."
        + " Efficiency is per machine: images a second over those of machines that never wait.",
    ],
    positionals: [.configuration],
    options: [
      .set, .workers, .fcNodes, .serverShards, .fcMirror,
      Option(
        name: "link", value: .text("RATE"),
        help: "What every link carries each way: 200mbit, 1gbit, 25gbit or unlimited.",
        standard: "1gbit"),
      Option(
        name: "layout", value: .text("LAYOUT"),
        help: "separate: a machine for each process. beside: FC node i and server shard i beside"
          + " worker i, the coordinator beside worker 0.", standard: "separate"),
      Option(
        name: "flops", value: .number("X", atLeast: 1),
        help: "Floating-point operations a second of one node, instead of measuring; a multiply-add"
          + " is two."),
      Option(
        name: "cores-per-host", value: .number("C", atLeast: 1),
        help: "Cores that the processes of a machine share.", standard: "8"),
      Option(
        name: "hosts-share", value: .number("N", atLeast: 1),
        help: "All machines share N cores, as where this one plays them; kernels are measured on as"
          + " many at once. Instead of --cores-per-host."),
      .json,
      Option(
        name: "plot", value: .text("FILE"),
        help: "Draw the step as a timeline, and the scaling curves, as SVG."),
    ],
    examples: [
      Example(
        line: "crosscut plan alexnet-owt --workers 4 --fc-nodes 4 --link 1gbit --layout beside",
        meaning: "Four machines on gigabit Ethernet, with this machine's kernels."),
      Example(
        line: "crosscut plan alexnet-owt --workers 8 --flops 2e12 --link 25gbit --plot plan.svg",
        meaning: "Eight faster ones, and a picture."),
    ],
    run: run)

  /// - Throws: `ConfigurationError`, `UsageError`, or why the kernels cannot run.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    guard !(arguments.has("hosts-share") && arguments.has("cores-per-host")) else {
      throw UsageError(
        command: "plan",
        message:
          "\(arguments.label("hosts-share")) and \(arguments.label("cores-per-host")) exclude"
          + " each other: either all machines share cores, or each has its own")
    }
    let configuration = try arguments.runConfiguration()
    let context = try RunContext(configuration)
    let shape = try self.shape(of: configuration, arguments)
    let speeds: Speeds
    let source: String
    if let flops = arguments.number("flops") {
      speeds = Speeds(context.network, flops: flops)
      source = "every layer at \(Numbers.scientific(flops)) FLOP/s (--flops)"
    } else {
      speeds = try SpeedMeasurement.run(context, shape)
      source = "measured on this machine, one thread a node"
    }
    let report = PlanReport(
      name: configuration.network.name ?? arguments.positional(0) ?? "network",
      network: context.network, shape: shape, speeds: speeds, source: source)
    if let path = arguments.string("plot") {
      try OutputFile.write(Array(PlanPlot(report).svg.utf8), to: path)
    }
    try Console.print(arguments.has("json") ? report.json.prettyText : report.text)
    return ExitCode.success
  }

  private static func shape(
    of configuration: RunConfiguration, _ arguments: ParsedArguments
  ) throws -> ClusterShape {
    var shape = ClusterShape(
      workers: configuration.cluster.workers, fcNodes: configuration.cluster.fcNodes,
      globalBatch: configuration.globalBatch)
    shape.serverShards = configuration.cluster.serverShards
    shape.chunkElements = configuration.cluster.chunkElements
    shape.schedule =
      switch configuration.schedule.kind {
      case .gathered: .gathered
      case .roundRobin: .roundRobin
      case .scattered: .scattered
      }
    shape.subBatches = configuration.subBatches
    shape.mirrorsFC = configuration.cluster.fcMirror
    shape.updatesEachSubBatch = configuration.schedule.fcUpdate == .perSubBatch
    shape.wire.activations = configuration.wire.activations.bytes
    shape.wire.gradients = configuration.wire.gradients.bytes
    shape.wire.parameters = configuration.wire.parameters.bytes
    shape.linkBytesPerSecond = try rate(arguments.string("link") ?? "1gbit", arguments)
    shape.layout = try arguments.layout()
    if let cores = arguments.number("cores-per-host") { shape.coresPerHost = cores }
    shape.sharedCores = arguments.number("hosts-share")
    return shape
  }

  /// TCP payload a second of a link: 95 % of what it is called.
  static func rate(_ text: String, _ arguments: ParsedArguments) throws(UsageError) -> Double? {
    if text == "unlimited" { return nil }
    for (unit, bits) in [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)] where text.hasSuffix(unit) {
      if let count = Double(text.dropLast(unit.count)), count > 0, count.isFinite {
        return count * bits / 8 * 0.95
      }
    }
    throw UsageError(
      command: "plan",
      message: "\(arguments.label("link")) \"\(text)\": expected a rate like 200mbit or 1gbit, or"
        + " unlimited")
  }
}

extension ParsedArguments {
  /// What --layout says.
  func layout() throws(UsageError) -> ClusterShape.Layout {
    let text = string("layout") ?? ClusterShape.Layout.separate.rawValue
    guard let layout = ClusterShape.Layout(rawValue: text) else {
      throw UsageError(
        command: command.name,
        message: "\(label("layout")) \"\(text)\": expected separate or beside")
    }
    return layout
  }
}
