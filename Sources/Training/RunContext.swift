import Tensors
package import Configuration
package import Coordination
package import Kernels
package import Network

/// A run configuration with everything that follows from it: the same in every process.
package struct RunContext: Sendable {
  package let configuration: RunConfiguration
  package let network: NetworkPlan
  package let cut: DenseCut
  package let plan: RunPlan
  package let inputs: RunInputs

  /// - Throws: `ConfigurationError` if the network cannot be.
  package init(
    _ configuration: RunConfiguration, inputs: RunInputs = RunInputs()
  ) throws(ConfigurationError) {
    self.configuration = configuration
    self.inputs = inputs
    network = try configuration.networkPlan()
    let cluster = configuration.cluster
    cut = DenseCut(network, nodes: cluster.fcNodes)
    var timing = RunPlan.Timing()
    timing.heartbeat = UInt64(cluster.heartbeatMilliseconds)
    timing.memberTimeout = UInt64(cluster.memberTimeoutMilliseconds)
    timing.progressTimeout = UInt64(cluster.progressTimeoutSeconds) * 1000
    var plan = RunPlan(
      globalBatch: configuration.globalBatch, workersWanted: cluster.workers,
      fcNodesWanted: cluster.fcNodes,
      chunks: ChunkTable(stages: network.stages, maximumElements: cluster.chunkElements),
      featureSlices: cut.featureSlices,
      trainingSegments: cut.segmentCount(training: true),
      evaluationSegments: cut.segmentCount(training: false),
      length: configuration.steps.map { .steps(UInt64($0)) }
        ?? .epochs(Double(configuration.epochs)),
      evaluation: configuration.evaluation.rhythm,
      fcElements: cut.layers.reduce(0) { $0 + $1.weight.shape.count + $1.bias.shape.count },
      timing: timing)
    plan.checkpointEvery = UInt64(configuration.checkpoint.everySteps)
    plan.wire.activations = configuration.wire.activations
    plan.wire.gradients = configuration.wire.gradients
    plan.wire.parameters = configuration.wire.parameters
    plan.schedule = Schedule(
      subBatches: configuration.subBatches,
      dealsWhole: configuration.schedule.kind == .roundRobin,
      followsHolders: configuration.dataset.shardGroups != nil)
    plan.shards = ShardMap(plan.chunks, count: cluster.serverShards)
    plan.minimumWorkers = cluster.minimumWorkers
    plan.recutsOnLoss = cluster.fcLoss == .recut
    self.plan = plan
  }

  /// The optimizer's constants for one parameter at `step` of a run of `totalSteps`: the one place
  /// where a learning rate is computed.
  ///
  /// - Parameters:
  ///   - reductions: what validation has asked for so far; the same on every node.
  ///   - rateFactor: what the operator has the scheduled rate multiplied by at this step.
  package func sgd(
    _ entry: ParameterTable.Entry, step: UInt64, of totalSteps: UInt64, reductions: Int = 0,
    rateFactor: Double = 1
  ) -> SGD {
    let optimizer = configuration.optimizer
    let rate =
      rateFactor
      * configuration.learningRate(
        step: Int(step), of: Int(totalSteps), dense: entry.dense, reductions: reductions)
    let isBias = entry.kind == .bias
    return SGD(
      learningRate: Float(isBias ? rate * optimizer.biasLearningRateFactor : rate),
      momentum: Float(optimizer.momentum),
      weightDecay: isBias && !optimizer.biasWeightDecay ? 0 : Float(optimizer.weightDecay),
      convention: optimizer.rule == .pytorch ? .pytorch : .paper2012,
      clip: optimizer.clipValue.map { Float($0) } ?? .infinity)
  }

  /// How the configuration wants convolutions computed.
  package var convolutionAlgorithm: ConvolutionAlgorithm {
    configuration.compute.convAlgorithm == .direct ? .direct : .auto
  }
}

extension RunContext {
  /// Applies an FC slice's gradients: one step of the optimizer on every piece.
  package func update(
    _ slice: DenseSlice, step: UInt64, of totalSteps: UInt64, reductions: Int = 0,
    rateFactor: Double = 1, probe: (any StepProbe)?
  ) {
    for parameter in slice.parameters {
      probe?.gradient(
        step: step, of: parameter.entry, region: parameter.region,
        values: UnsafePointer(parameter.gradient))
      sgd(
        parameter.entry, step: step, of: totalSteps, reductions: reductions,
        rateFactor: rateFactor
      ).update(
        count: parameter.count, gradient: UnsafePointer(parameter.gradient),
        weight: UnsafePointer(parameter.value), velocity: UnsafePointer(parameter.velocity),
        newWeight: parameter.value, newVelocity: parameter.velocity)
    }
  }
}

extension EvaluationConfiguration {
  /// When evaluations come, as the program of turns understands it.
  var rhythm: RunPlan.EvaluationRhythm {
    if let everySteps { return .everySteps(UInt64(everySteps)) }
    if everyEpochs > 0 { return .everyEpochs(Double(everyEpochs)) }
    return atEnd ? .atEnd : .never
  }
}
