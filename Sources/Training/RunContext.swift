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
      timing: timing)
    plan.checkpointEvery = UInt64(configuration.checkpoint.everySteps)
    plan.checkpointInterval = UInt64(configuration.checkpoint.everyMinutes * 60_000)
    plan.wire.activations = configuration.wire.activations
    plan.wire.gradients = configuration.wire.gradients
    plan.wire.parameters = configuration.wire.parameters
    plan.schedule = Schedule(
      subBatches: configuration.subBatches,
      dealsWhole: configuration.schedule.kind == .roundRobin,
      updatesEachSubBatch: configuration.schedule.fcUpdate == .perSubBatch,
      followsHolders: configuration.dataset.shardGroups != nil)
    plan.shards = ShardMap(plan.chunks, count: cluster.serverShards)
    plan.minimumWorkers = cluster.minimumWorkers
    plan.recutsOnLoss = cluster.fcLoss == .recut
    plan.mirrorsFC = cluster.fcMirror
    plan.classes = network.classes
    plan.onFault =
      switch configuration.optimizer.onNaN {
      case .stop: .stop
      case .skip: .skip
      case .rollback: .rollBack
      }
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

  /// For whoever computes: the server only adds up, and may be a machine that cannot.
  ///
  /// - Throws: `ConfigurationError` if this machine's kernels do not have the precision.
  package func checkPrecision() throws(ConfigurationError) {
    do throws(KernelError) {
      try KernelLibrary.check(configuration.precision)
    } catch {
      throw ConfigurationError(keyPath: "precision", error.reason)
    }
  }

  /// How the configuration wants convolutions computed.
  package var convolutionAlgorithm: ConvolutionAlgorithm {
    configuration.compute.convAlgorithm == .direct ? .direct : .auto
  }
}

extension RunContext {
  /// Applies an FC slice's gradients: one step of the optimizer on every piece.
  ///
  /// - Parameter subBatch: whose gradients they are, where weights step once a sub-batch: from the
  ///   version that it has read into the working one, which `DenseSlice.commit` makes the committed
  ///   one. `nil` steps in place.
  package func update(
    _ slice: DenseSlice, step: UInt64, subBatch: Int? = nil, of totalSteps: UInt64,
    reductions: Int = 0, rateFactor: Double = 1, probe: (any StepProbe)?
  ) {
    let next = subBatch == nil ? slice.parameters : slice.workingParameters
    let current = subBatch ?? 0 == 0 ? slice.parameters : slice.workingParameters
    for (parameter, target) in zip(current, next) {
      probe?.gradient(
        step: step, subBatch: subBatch, of: parameter.entry, region: parameter.region,
        values: UnsafePointer(parameter.gradient))
      let sgd = sgd(
        parameter.entry, step: step, of: totalSteps, reductions: reductions,
        rateFactor: rateFactor)
      func update(_ first: Int, _ count: Int) {
        sgd.update(
          count: count, gradient: UnsafePointer(parameter.gradient + first),
          weight: UnsafePointer(parameter.value + first),
          velocity: UnsafePointer(parameter.velocity + first), newWeight: target.value + first,
          newVelocity: target.velocity + first)
      }
      guard let active = parameter.active else {
        update(0, parameter.count)
        continue
      }
      // Neither momentum nor weight decay moves a row that was not in the step's sample.
      let width = parameter.columns.count
      for row in active.rows { update(row * width, width) }
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
