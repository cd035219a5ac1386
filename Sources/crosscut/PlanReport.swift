import Configuration
import Network
import Planning

/// What `crosscut plan` says, for people and as JSON.
struct PlanReport {
  let name: String
  let network: NetworkPlan
  let shape: ClusterShape
  let speeds: Speeds
  let source: String
  let traffic: Traffic
  let forecast: StepForecast
  /// The fastest way for as many workers.
  let recommendation: Recommendation
  let scaling: ScalingForecast
  /// Efficiency that a recommended number of workers must have.
  static let efficiencyBar = 0.75

  init(name: String, network: NetworkPlan, shape: ClusterShape, speeds: Speeds, source: String) {
    self.name = name
    self.network = network
    self.shape = shape
    self.speeds = speeds
    self.source = source
    traffic = Traffic(network, shape)
    forecast = StepForecast(network, shape, speeds)
    recommendation = Recommendation(network, shape, speeds)
    scaling = ScalingForecast(network, shape, speeds)
  }

  /// Tables of at most 100 columns.
  var text: String {
    ([heading, ""] + layerLines + [""] + trafficLines + [""] + stepLines + [""] + rivalLines + [""]
      + scalingLines + [""] + adviceLines).joined(separator: "\n") + "\n"
  }

  private var heading: String {
    "\(name): \(Self.count(shape.workers, "worker")), \(Self.count(shape.fcNodes, "FC node"))"
      + (shape.mirrorsFC ? " with mirrors" : "")
      + (shape.serverShards > 1 ? ", \(shape.serverShards) servers" : "")
      + " (\(shape.layout.rawValue),"
      + " \(shape.hosts) machines), batch \(shape.globalBatch), \(Self.scheme(shape)),\n"
      + (shape.linkBytesPerSecond.map { "links of \(Numbers.fixed($0 / 1e6, 1)) MB/s each way" }
        ?? "unlimited links") + "; kernels \(source)"
  }

  static func scheme(_ shape: ClusterShape) -> String {
    shape.schedule == .gathered
      ? "gathered"
      : "\(shape.schedule.rawValue):\(shape.subBatches)"
        + (shape.updatesEachSubBatch ? ", fc steps per sub-batch" : "")
  }

  // MARK: Layers

  private var layerLines: [String] {
    var cells = [
      ["layer", "cut", "reason", "MFLOP/image", "ms forward", "ms backward", "MB/step"]
    ]
    let share = shape.share
    for stage in network.stages {
      let adds = network.convolutional[stage.layers].reduce(0) { $0 + network.multiplyAdds(of: $1) }
      let values = stage.parameterCount
      cells.append([
        stage.name, "batch", "gradients up, parameters down",
        Numbers.fixed(Double(2 * adds) / 1e6, 1),
        Numbers.fixed(speeds.forward[stage.index].seconds(share) * 1e3, 1),
        Numbers.fixed(speeds.backward[stage.index].seconds(share) * 1e3, 1),
        Self.megabytes(values * (shape.wire.gradients + shape.wire.parameters)),
      ])
    }
    let cut = DenseCut(network, nodes: shape.fcNodes)
    for (layer, moved) in zip(cut.layers, traffic.layers) {
      let gathers = layer.form == .gatherInput
      let other = gathers ? "scatter" : "gather"
      let operations = Double(2 * layer.inputs * layer.outputs)
      let time = denseSeconds(layer, in: cut)
      cells.append([
        layer.name, layer.form.rawValue,
        "\(moved.reason.rawValue): \(Self.megabytes(moved.sent)) MB, \(other)"
          + " \(Self.megabytes(moved.other))",
        Numbers.fixed(operations / 1e6, 1),
        Numbers.fixed(time.forward * 1e3, 1), Numbers.fixed(time.backward * 1e3, 1),
        Self.megabytes(moved.sent),
      ])
    }
    return [
      "Layers, on one node; MB are 10^6, sent and received by a worker, each way by an FC node.",
      "Cuts are the cheaper (auto), as configured (form) or what a sample of the classes needs (sample).",
    ]
      + TextTable.lines(cells, leftColumns: 3)
  }

  /// Of one layer on one FC node, forward and with its weights' gradients backward.
  ///
  /// A segment between two exchanges can hold work of two layers, which is dealt by operations.
  private func denseSeconds(
    _ layer: DenseLayerCut, in cut: DenseCut
  ) -> (forward: Double, backward: Double) {
    func operations(_ layer: DenseLayerCut) -> Double { Double(layer.inputs * layer.outputs) }
    func segments(_ layer: DenseLayerCut) -> (forward: Int, backward: Int) {
      let index = cut.layers.firstIndex(of: layer) ?? 0
      let gathers = layer.form == .gatherInput
      return (index + (gathers ? 1 : 0), 2 * cut.layers.count - index + (gathers ? 0 : 1))
    }
    func share(_ segment: KeyPath<(forward: Int, backward: Int), Int>) -> Double {
      let own = segments(layer)[keyPath: segment]
      let there = cut.layers.filter { segments($0)[keyPath: segment] == own }
      return speeds.segments[own].seconds(shape.globalBatch) * operations(layer)
        / there.reduce(0) { $0 + operations($1) }
    }
    let gradients =
      speeds.denseGradients.seconds(shape.globalBatch) * operations(layer)
      / cut.layers.reduce(0) { $0 + operations($1) }
    let nodes = Double(cut.nodes)
    return (share(\.forward) / nodes, (share(\.backward) + gradients) / nodes)
  }

  // MARK: Bytes

  private var trafficLines: [String] {
    var cells = [["bytes a step", "MB sent", "MB received", "s on the link"]]
    func add(_ name: String, _ bytes: Traffic.Bytes) {
      let seconds = shape.linkBytesPerSecond.map {
        Double(max(bytes.sent, bytes.received)) / $0
      }
      cells.append([
        name, Self.megabytes(bytes.sent), Self.megabytes(bytes.received),
        seconds.map { Numbers.fixed($0, 3) } ?? "",
      ])
    }
    if let worker = traffic.workers.first { add("a worker", worker) }
    if let node = traffic.fcNodes.first { add("an FC node", node) }
    if let coordinator = traffic.servers.first {
      add(traffic.servers.count > 1 ? "the coordinator" : "the server", coordinator)
    }
    if traffic.servers.count > 1 { add("another server", traffic.servers[1]) }
    add("the busiest machine", traffic.busiest)
    return TextTable.lines(cells, leftColumns: 1)
      + ["These are the least bytes of this cut; headers add less than 1 %."]
  }

  // MARK: The step

  private var stepLines: [String] {
    var cells = [["step", "s", "share", "s in all, hidden behind others"]]
    for kind in TaskGraph.Kind.allCases {
      let critical = forecast.critical.first { $0.kind == kind }?.seconds ?? 0
      let all = forecast.tasks.filter { $0.kind == kind }.reduce(0) { $0 + $1.end - $1.start }
      guard critical > 5e-5 || all > 5e-5 else { continue }
      cells.append([
        kind.rawValue, Numbers.fixed(critical, 3),
        "\(Numbers.fixed(100 * critical / forecast.seconds, 0)) %",
        Numbers.fixed(max(0, all - critical), 3),
      ])
    }
    cells.append([
      "together: the critical path", Numbers.fixed(forecast.seconds, 3),
      "\(Numbers.fixed(forecast.imagesPerSecond(shape), 1)) images/s", "",
    ])
    return TextTable.lines(cells, leftColumns: 1)
  }

  private var rivalLines: [String] {
    var cells = [
      ["with \(Self.count(shape.workers, "worker"))", "s/step", "images/s", "MB, busiest link"]
    ]
    cells.append([
      "Crosscut, \(Self.count(shape.fcNodes, "FC node")), \(Self.scheme(shape))",
      Numbers.fixed(forecast.seconds, 3), Numbers.fixed(forecast.imagesPerSecond(shape), 1),
      Self.megabytes(max(traffic.busiest.sent, traffic.busiest.received)),
    ])
    for rival in Rival.allCases {
      let seconds = rival.seconds(network, shape, speeds)
      cells.append([
        rival.rawValue, Numbers.fixed(seconds, 3),
        Numbers.fixed(Double(shape.globalBatch) / seconds, 1),
        Numbers.fixed(rival.bytes(network, shape) / 1e6, 1),
      ])
    }
    return TextTable.lines(cells, leftColumns: 1)
  }

  // MARK: Scaling

  private var scalingLines: [String] {
    var cells = [
      [
        "workers", "FC nodes", "servers", "schedule", "images/s", "efficiency", "ring", "server",
        "MB busiest",
      ]
    ]
    for row in scaling.rows {
      let shape = row.recommendation.shape
      let busiest = Traffic(network, shape).busiest
      cells.append([
        "\(row.workers)", "\(shape.fcNodes)", "\(shape.serverShards)", Self.scheme(shape),
        Numbers.fixed(row.recommendation.imagesPerSecond, 1),
        "\(Numbers.fixed(100 * scaling.efficiency(row), 0)) %", Numbers.fixed(row.ring, 1),
        Numbers.fixed(row.parameterServer, 1),
        Self.megabytes(max(busiest.sent, busiest.received)),
      ])
    }
    return [
      "Forecast with \(shape.share) examples a worker; ring, server: images/s of ring all-reduce and"
        + " of one parameter server"
    ] + TextTable.lines(cells, leftColumns: 0)
  }

  /// What 16 bits a value would give, where anything waits for a link.
  private var roundedLines: [String] {
    var shape = recommendation.shape
    guard shape.linkBytesPerSecond != nil, shape.wire == ClusterShape.WireBytes() else { return [] }
    (shape.wire.activations, shape.wire.gradients, shape.wire.parameters) = (2, 2, 2)
    let rate = StepForecast(network, shape, speeds).imagesPerSecond(shape)
    guard rate > recommendation.imagesPerSecond * 1.01 else { return [] }
    return [
      "With bf16 on the wire (--set wire.activations=bf16 --set wire.gradients=bf16 --set"
        + " wire.parameters=bf16): \(Numbers.fixed(rate, 1)) images/s"
    ]
  }

  private var adviceLines: [String] {
    let best = recommendation.shape
    return [
      "Recommended for \(Self.count(shape.workers, "worker")): --fc-nodes \(best.fcNodes)"
        + (best.serverShards > 1 ? " --server-shards \(best.serverShards)" : "") + " --set"
        + " schedule.kind=\(best.schedule.rawValue)"
        + (best.schedule == .gathered ? "" : " --set schedule.subBatches=\(best.subBatches)")
        + ": \(Numbers.fixed(recommendation.imagesPerSecond, 1)) images/s"
    ] + roundedLines + [
      Self.scalingLine(scaling.mostWorkers(efficiency: Self.efficiencyBar))
    ]
  }

  /// Up to how many workers it pays.
  static func scalingLine(_ workers: Int) -> String {
    let bar = "\(Numbers.fixed(100 * efficiencyBar, 0)) % of what it does alone"
    return switch workers {
    case 0: "With any number of workers each machine does less than \(bar)."
    case 1: "With more than one worker each machine does less than \(bar)."
    default: "Up to \(workers) workers each machine does at least \(bar)."
    }
  }

  private static func count(_ number: Int, _ what: String) -> String {
    "\(number) \(what)\(number == 1 ? "" : "s")"
  }

  static func megabytes(_ bytes: Int) -> String {
    let value = Double(bytes) / 1e6
    return Numbers.fixed(value, value < 1 ? 3 : 1)
  }
}
