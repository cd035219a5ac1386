package import Configuration
package import Coordination
package import Datasets
package import Kernels
package import Network
import Tensors

/// A run configuration with everything that follows from it: the same in every process.
package struct RunContext: Sendable {
  package let configuration: RunConfiguration
  package let network: NetworkPlan
  package let cut: DenseCut
  package let plan: RunPlan

  /// - Throws: `ConfigurationError` if the network cannot be.
  package init(_ configuration: RunConfiguration) throws(ConfigurationError) {
    self.configuration = configuration
    network = try configuration.networkPlan()
    let cluster = configuration.cluster
    cut = DenseCut(network, nodes: cluster.fcNodes)
    var timing = RunPlan.Timing()
    timing.heartbeat = UInt64(cluster.heartbeatMilliseconds)
    timing.memberTimeout = UInt64(cluster.memberTimeoutMilliseconds)
    timing.progressTimeout = UInt64(cluster.progressTimeoutSeconds) * 1000
    plan = RunPlan(
      globalBatch: configuration.globalBatch, workersWanted: cluster.workers,
      fcNodesWanted: cluster.fcNodes,
      chunks: ChunkTable(stages: network.stages, maximumElements: cluster.chunkElements),
      featureSlices: cut.featureSlices,
      trainingSegments: cut.segmentCount(training: true),
      evaluationSegments: cut.segmentCount(training: false),
      length: configuration.steps.map { .steps(UInt64($0)) }
        ?? .epochs(Double(configuration.epochs)),
      evaluation: configuration.evaluation.rhythm, timing: timing)
  }

  /// The optimizer's constants for one parameter at `step` of a run of `totalSteps`.
  package func sgd(
    _ kind: ParameterTable.Entry.Kind, step: UInt64, of totalSteps: UInt64
  ) -> SGD {
    let optimizer = configuration.optimizer
    let rate = configuration.learningRate(step: Int(step), of: Int(totalSteps))
    let isBias = kind == .bias
    return SGD(
      learningRate: Float(isBias ? rate * optimizer.biasLearningRateFactor : rate),
      momentum: Float(optimizer.momentum),
      weightDecay: isBias && !optimizer.biasWeightDecay ? 0 : Float(optimizer.weightDecay),
      convention: optimizer.rule == .pytorch ? .pytorch : .paper2012)
  }

  package var convolutionAlgorithm: ConvolutionAlgorithm {
    configuration.compute.convAlgorithm == .direct ? .direct : .auto
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

/// A data set that is open, with what makes pixels into inputs.
package struct OpenDataset: Sendable {
  package let pair: DatasetPair
  package let normalization: Datasets.Normalization

  /// Opens the data set that the configuration names and checks that the network fits it.
  ///
  /// - Throws: `NodeError` saying what is missing or does not fit.
  package init(_ configuration: RunConfiguration, _ network: NetworkPlan) throws(NodeError) {
    do throws(DatasetError) {
      switch configuration.dataset {
      case .idx(let dataset):
        pair = try IDXDataset.open(directory: dataset.path)
      case .synthetic(let dataset):
        pair = try SyntheticSource.pair(
          training: dataset.examples, test: dataset.testExamples,
          shape: dataset.shape.map { Shape($0) } ?? network.input,
          classes: dataset.classes ?? network.classes, seed: configuration.seed)
      }
      normalization =
        switch configuration.dataset.normalize {
        case .meanDeviation: try .measured(over: pair.train)
        case .none: .none(channels: pair.train.shape[0])
        }
    } catch {
      throw NodeError("\(error)")
    }
    guard pair.train.shape == network.input else {
      throw NodeError(
        "dataset: its images are \(pair.train.shape), the network's input is \(network.input)")
    }
    guard pair.train.classes <= network.classes else {
      throw NodeError(
        "dataset: it has \(pair.train.classes) classes, the network's last layer only "
          + "\(network.classes) units")
    }
  }
}
