package import Network
import Tensors

extension RunConfiguration {
  /// The network with every shape known.
  ///
  /// - Throws: `ConfigurationError` whose key path names the layer and its field.
  package func networkPlan() throws(ConfigurationError) -> NetworkPlan {
    let place = ConfigurationPath.root.key("network")
    if let violation = Rule<[Int]>.imageShape.violation(network.input) {
      throw place.key("input").error(violation)
    }
    let plan: NetworkPlan
    do throws(NetworkError) {
      plan = try NetworkPlan(
        input: Shape(network.input), layers: network.layers, loss: network.loss,
        sampleRate: Float(network.sampleRate))
    } catch {
      var path = place.key("layers")
      if let layer = error.layer { path = path.index(layer) }
      if let field = error.field { path = path.key(field) }
      throw path.error(error.message)
    }
    for entry in plan.parameters.entries {
      // Beyond this a count of bytes, or of all parameters, could overflow.
      let limit = 1 << 40
      var count = 1
      for extent in entry.shape.extents {
        let (product, overflow) = count.multipliedReportingOverflow(by: extent)
        guard !overflow, product <= limit else {
          throw place.key("layers").index(entry.layer).error(
            "weights of \(entry.shape) are more than this program can address")
        }
        count = product
      }
    }
    return plan
  }

  /// Checks everything that does not need the data set: shapes, and values against each other.
  package func validate() throws(ConfigurationError) {
    let plan = try networkPlan()
    let root = ConfigurationPath.root
    let clusterPath = root.key("cluster")
    guard cluster.workers <= globalBatch else {
      throw clusterPath.key("workers").error(
        "\(cluster.workers) workers cannot share a global batch of \(globalBatch) examples")
    }
    guard cluster.minimumWorkers <= cluster.workers else {
      throw clusterPath.key("minimumWorkers").error(
        "a run of \(cluster.workers) workers would wait for \(cluster.minimumWorkers) for ever; take"
          + " at most as many as cluster.workers")
    }
    try checkSlices(of: plan)
    let chunks = ChunkTable(stages: plan.stages, maximumElements: cluster.chunkElements).chunks
      .count
    guard cluster.serverShards <= max(chunks, 1) else {
      throw clusterPath.key("serverShards").error(
        "\(cluster.serverShards) server shards cannot share \(chunks) chunk\(chunks == 1 ? "" : "s") of"
          + " conv parameters; a smaller cluster.chunkBytes makes more of them")
    }
    try checkMirror(of: plan, at: clusterPath.key("fcMirror"))
    guard cluster.memberTimeoutMilliseconds >= 2 * cluster.heartbeatMilliseconds else {
      throw clusterPath.key("memberTimeoutMilliseconds").error(
        "must be at least two heartbeats (\(cluster.heartbeatMilliseconds) ms each), not"
          + " \(cluster.memberTimeoutMilliseconds)")
    }
    try checkDecay(at: root.key("optimizer").key("decay"))
    try checkSchedule(at: root.key("schedule"))
    try checkValidation()
    if case .synthetic(let synthetic) = dataset {
      try checkFit(
        shape: synthetic.shape ?? network.input, classes: synthetic.classes ?? plan.classes,
        of: plan)
    }
  }

  /// Fills in what follows from other keys.
  mutating func resolve() throws(ConfigurationError) {
    switch dataset {
    case .synthetic(var synthetic):
      let plan = try networkPlan()
      synthetic.shape = synthetic.shape ?? network.input
      synthetic.classes = synthetic.classes ?? plan.classes
      dataset = .synthetic(synthetic)
    case .folder(var folder):
      let extent = network.input.dropFirst().max() ?? 1
      folder.size = folder.size ?? ImageFolderFiles.size(forInput: extent)
      dataset = .folder(folder)
    case .idx, .cifar, .prepared: break
    }
  }

  private func checkFit(
    shape: [Int], classes: Int, of plan: NetworkPlan
  ) throws(ConfigurationError) {
    guard shape == plan.input.extents else {
      let found = shape.map(String.init).joined(separator: "x")
      throw ConfigurationError(
        keyPath: "network.input",
        "the data set's examples are \(found), the network's input is \(plan.input)")
    }
    // More units than classes train as well: the spare ones learn to be small.
    guard classes <= plan.classes else {
      throw ConfigurationError(
        keyPath: "network.layers[\(network.layers.count - 1)].units",
        "the data set has \(classes) classes, the network's last layer \(plan.classes) units")
    }
  }

  private func checkMirror(
    of plan: NetworkPlan, at path: ConfigurationPath
  ) throws(ConfigurationError) {
    guard cluster.fcMirror else { return }
    guard cluster.fcNodes > 1 else {
      throw path.error("needs cluster.fcNodes of 2 or more: a node cannot mirror itself")
    }
    guard plan.sampleRate == 1 else {
      throw path.error("does not go with network.sampleRate: each node draws classes of its own")
    }
    guard wire.activations == .fp32 else {
      throw path.error(
        "needs wire.activations \"fp32\": of rounded ones the mirror has other values than the node"
      )
    }
    guard checkpoint.everySteps > 0 || checkpoint.everyMinutes > 0 else {
      throw path.error(
        "needs checkpoints (checkpoint.everySteps or everyMinutes): the lost slice goes through one"
      )
    }
  }

  /// P: the sub-batches of a step.
  package var subBatches: Int {
    if let groups = dataset.shardGroups { return groups }
    if schedule.kind == .gathered { return 1 }
    return schedule.subBatches > 0 ? schedule.subBatches : cluster.workers
  }

  /// Whether P is the configuration's own, and not the number of workers.
  private var isGivenSubBatches: Bool {
    schedule.subBatches > 0 || dataset.shardGroups != nil
  }

  private func checkSchedule(at section: ConfigurationPath) throws(ConfigurationError) {
    let path = section.key("subBatches")
    if let groups = dataset.shardGroups {
      let kind = ConfigurationPath.root.key("schedule").key("kind")
      guard schedule.kind == .roundRobin else {
        throw kind.error(
          "must be \"round-robin\" with dataset.shardGroups, not \"\(schedule.kind.rawValue)\": "
            + "a group's rows are a sub-batch that one worker computes")
      }
      guard schedule.subBatches == 0 || schedule.subBatches == groups else {
        throw path.error(
          "must be 0 or the number of dataset.shardGroups, \(groups), not \(schedule.subBatches)")
      }
    }
    if schedule.kind == .gathered, schedule.subBatches > 1 {
      throw path.error("must be 1 with the schedule \"gathered\", not \(schedule.subBatches)")
    }
    guard subBatches <= globalBatch else {
      throw path.error(
        "\(subBatches) sub-batches cannot share a global batch of \(globalBatch) examples")
    }
    if network.sampleRate < 1 {
      let rate = ConfigurationPath.root.key("network").key("sampleRate")
      guard network.loss == .softmax else {
        throw rate.error("needs the loss \"softmax\"")
      }
      guard schedule.fcUpdate == .perStep else {
        throw rate.error("does not go with fcUpdate \"per-sub-batch\"")
      }
      guard schedule.kind == .gathered || isGivenSubBatches else {
        throw path.error(
          "must be given with a network.sampleRate below 1: each sub-batch has its own classes in its"
            + " sample, and the result must not depend on the number of workers")
      }
    }
    guard schedule.fcUpdate == .perSubBatch else { return }
    guard schedule.kind != .gathered else {
      throw section.key("fcUpdate").error(
        "\"per-sub-batch\" needs sub-batches: set kind to \"scattered\" or \"round-robin\"")
    }
    guard isGivenSubBatches else {
      throw path.error(
        "must be given with fcUpdate \"per-sub-batch\": the result depends on it, and must not on"
          + " the number of workers")
    }
    guard globalBatch % subBatches == 0 else {
      throw path.error(
        "must divide the global batch of \(globalBatch) with fcUpdate \"per-sub-batch\", so that"
          + " every update sees as many examples; \(subBatches) does not")
    }
  }

  /// What goes by the validation error needs more than the evaluation at the end.
  private func checkValidation() throws(ConfigurationError) {
    guard evaluation.everyEpochs == 0, evaluation.everySteps == nil else { return }
    let root = ConfigurationPath.root
    let missing = "needs evaluations during the run: evaluation.everyEpochs or everySteps"
    if optimizer.decay.kind == .plateau {
      throw root.key("optimizer").key("decay").key("kind").error("\"plateau\" \(missing)")
    }
    if evaluation.earlyStop != nil {
      throw root.key("evaluation").key("earlyStop").error(missing)
    }
  }

  private func checkDecay(at path: ConfigurationPath) throws(ConfigurationError) {
    let decay = optimizer.decay
    guard decay.warmupEpochs <= Double(epochs) else {
      throw path.key("warmupEpochs").error(
        "must be at most the \(epochs) epochs of the run, not \(decay.warmupEpochs.json.lineText)")
    }
    guard decay.kind == .steps else {
      for (key, given) in [("atFractions", decay.atFractions), ("atEpochs", decay.atEpochs)]
      where !given.isEmpty {
        throw path.key(key).error(
          "belongs to the kind \"steps\", not to \"\(decay.kind.rawValue)\"")
      }
      return
    }
    guard !decay.atFractions.isEmpty || !decay.atEpochs.isEmpty else {
      throw path.error("the kind \"steps\" needs atFractions or atEpochs")
    }
    if let late = decay.atEpochs.first(where: { $0 >= Double(epochs) }) {
      throw path.key("atEpochs").error(
        "epoch \(late.json.lineText) is not within the \(epochs) epochs of the run")
    }
  }
}

extension RunConfiguration: Codable {
  package init(from decoder: any Decoder) throws {
    self = try .read(JSONValue(from: decoder), at: .root)
  }

  package func encode(to encoder: any Encoder) throws { try json.encode(to: encoder) }
}
