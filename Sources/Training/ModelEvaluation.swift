package import Configuration
import Coordination
import Kernels
import Network

/// The test set through a trained model, in one process.
package struct ModelEvaluation {
  /// Size of the test set.
  package let examples: Int
  /// Mean over the test set.
  package let loss: Double
  /// Examples whose class came first.
  package let top1: Int
  /// Examples whose class was among the first five.
  package let top5: Int
  /// A line for each example that could not be read, and in whose place the next one counts.
  package let broken: [String]
  /// Seconds of computing, without opening the data and planning the memory.
  package let seconds: Double

  package var accuracy: Double { Double(top1) / Double(examples) }
  package var top5Accuracy: Double { Double(top5) / Double(examples) }
  package var imagesPerSecond: Double { Double(examples) / seconds }

  /// Evaluates a model file on the configuration's test set.
  ///
  /// - Parameters:
  ///   - path: a safetensors file with exactly the network's parameters, under torchvision's names.
  ///   - threads: of the kernels.
  /// - Throws: `SafeTensorsError`, `TrainingError` or `ConfigurationError` naming the file and the
  ///   tensor that is missing, foreign or of another shape.
  package init(
    of path: String, _ configuration: RunConfiguration, threads: Int
  ) throws {
    let inputs = RunInputs(parameters: .stored(try SafeTensorsReader(path: path)))
    let context = try RunContext(configuration, inputs: inputs)
    // Before the data is opened: a foreign model is the likelier mistake.
    try inputs.parameters.check(against: context.network.parameters)
    ComputeThreads.use(threads)
    let network = try SingleProcessTrainer(context, training: false)
    let clock = ContinuousClock()
    let start = clock.now
    let tally = try network.evaluate()
    seconds = start.duration(to: clock.now) / .seconds(1)
    examples = tally.examples
    loss = tally.meanLoss
    (top1, top5) = (tally.top1, tally.top5)
    broken = network.takeBrokenExamples()
  }

  /// Evaluates a model file by the mean of ten crops' probabilities (2012 paper, section 4.1).
  ///
  /// - Parameters:
  ///   - path: a safetensors file with exactly the network's parameters, under torchvision's names.
  ///   - threads: of the kernels.
  /// - Throws: as the other.
  package init(
    tenCropsOf path: String, _ configuration: RunConfiguration, threads: Int
  ) throws {
    let inference = try ModelInference(of: path, configuration, tenCrops: true, threads: threads)
    let clock = ContinuousClock()
    let start = clock.now
    var (loss, first, five) = (0.0, 0, 0)
    try inference.forEach { _, label, probabilities in
      loss += inference.loss(of: probabilities, label: label)
      let rank = ModelInference.rank(of: label, probabilities)
      if rank < 1 { first += 1 }
      if rank < 5 { five += 1 }
    }
    seconds = start.duration(to: clock.now) / .seconds(1)
    examples = inference.count
    self.loss = loss / Double(inference.count)
    (top1, top5) = (first, five)
    broken = inference.takeBrokenExamples()
  }
}
