package import Configuration
import Datasets
import Glibc
import Kernels
import Network
import Tensors

/// What a trained model makes of examples: the probabilities of their classes, from the middle of
/// each picture or as the mean over the ten crops of the 2012 paper (section 4.1).
///
/// Belongs to the thread that made it.
package final class ModelInference {
  /// What the classes are called, in label order, where the data set knows it.
  package let classNames: [String]?
  /// How many examples there are.
  package let count: Int
  /// The pictures that can be read, in the order given; and why the others cannot.
  package let pictures: [String]
  package let refusals: [String]

  private let network: WholeNetwork
  private let loader: BatchLoader
  private let rows: Int
  private let views: Int
  private let classes: Int
  private let loss: Loss

  /// Reads the model, opens the data set and plans all memory.
  ///
  /// The data set is wanted for pictures too: it decides how large they are and what is subtracted.
  ///
  /// - Parameters:
  ///   - path: a safetensors file with exactly the network's parameters, under torchvision's names.
  ///   - pictures: JPEG or PNG files, of which one at least can be read; `nil` takes the
  ///     configuration's test set.
  ///   - tenCrops: corners and middle, each also mirrored, else only the middle.
  ///   - threads: of the kernels.
  /// - Throws: `SafeTensorsError`, `TrainingError` or `ConfigurationError` naming what is wrong.
  package init(
    of path: String, _ configuration: RunConfiguration, pictures: [String]? = nil,
    tenCrops: Bool, threads: Int
  ) throws {
    let inputs = RunInputs(parameters: .stored(try SafeTensorsReader(path: path)))
    // Before the data is opened: a foreign model is the likelier mistake.
    try inputs.parameters.check(against: try configuration.networkPlan().parameters)
    let data = try OpenDataset(RunContext(configuration))
    classNames = data.pair.classNames
    let source: any ExampleSource
    // A picture that somebody asks for has no substitute.
    var broken: BrokenExamples?
    if let pictures {
      let all = try PictureList(
        pictures, shape: data.views.source, classes: data.pair.train.classes)
      let (readable, refusals) = all.readable()
      guard readable.count > 0 else {
        throw TrainingError(refusals.joined(separator: "\n"))
      }
      (self.pictures, self.refusals) = (readable.paths, refusals)
      source = readable
    } else {
      (self.pictures, refusals) = ([], [])
      source = data.pair.test
      broken = BrokenExamples(mostFraction: configuration.dataset.maxBrokenFraction)
    }
    count = source.count
    views = tenCrops ? ViewMaker.tenCrops : 1
    var configuration = configuration
    let examples = (configuration.globalBatch + views - 1) / views
    configuration.globalBatch = min(examples, source.count) * views
    rows = configuration.globalBatch
    let context = try RunContext(configuration, inputs: inputs)
    (classes, loss) = (context.network.classes, context.network.loss)
    ComputeThreads.use(threads)
    network = try WholeNetwork(context, training: false)
    loader = BatchLoader(
      training: data.pair.train, evaluation: source,
      order: ExampleOrder(seed: configuration.seed, count: data.pair.train.count),
      views: data.views, depth: 2, broken: broken)
  }

  deinit { loader.stop() }

  /// As `SingleProcessTrainer.takeBrokenExamples`.
  package func takeBrokenExamples() -> [String] { loader.broken?.takeNews() ?? [] }

  /// Goes through all examples in their order.
  ///
  /// - Parameter body: number of the example, its label, and the probability of each class: they
  ///   add up to 1 with softmax outputs, not with logistic ones.
  /// - Throws: `TrainingError` naming the picture that cannot be read.
  package func forEach(
    _ body: (_ example: Int, _ label: Int, _ probabilities: [Double]) -> Void
  ) throws(TrainingError) {
    let total = count * views
    func request(_ first: Int) -> BatchRequest {
      BatchRequest(
        kind: views > 1 ? .tenCrops : .evaluation, firstPosition: UInt64(first), rows: rows)
    }
    for first in stride(from: 0, to: total, by: rows) {
      let batch: Batch
      do throws(DatasetError) {
        batch = try loader.take(request(first))
      } catch {
        throw TrainingError("\(error)")
      }
      if first + rows < total { loader.request(request(first + rows)) }
      network.load(batch)
      _ = network.evaluate(step: 0, examples: 1)
      let logits = network.logits
      for row in stride(from: 0, to: min(rows, total - first), by: views) {
        var mean = [Double](repeating: 0, count: classes)
        for view in row..<row + views {
          let own = logits[view * classes..<(view + 1) * classes]
          for (index, value) in probabilities(Array(own)).enumerated() {
            mean[index] += value / Double(views)
          }
        }
        body((first + row) / views, Int(batch.labels[row]), mean)
      }
      loader.recycle(batch)
    }
  }

  private func probabilities(_ logits: [Float]) -> [Double] {
    switch loss {
    case .softmax:
      let largest = Double(logits.max() ?? 0)
      let powers = logits.map { exp(Double($0) - largest) }
      let sum = powers.reduce(0, +)
      return powers.map { $0 / sum }
    case .logistic:
      return logits.map { 1 / (1 + exp(-Double($0))) }
    }
  }
}

extension ModelInference {
  /// The loss of a prediction: minus the logarithm of the label's probability, and of logistic
  /// outputs of the other classes' improbability too.
  func loss(of probabilities: [Double], label: Int) -> Double {
    switch loss {
    case .softmax: -log(probabilities[label])
    case .logistic:
      probabilities.enumerated().reduce(0) {
        $0 - log($1.offset == label ? $1.element : 1 - $1.element)
      }
    }
  }

  /// How many classes are more probable than the label; of equal ones those before it count, as
  /// does what is no number.
  static func rank(of label: Int, _ probabilities: [Double]) -> Int {
    let own = probabilities[label]
    return probabilities.enumerated().count { index, value in
      guard index != label else { return false }
      return index < label ? !(value < own) : !(value <= own)
    }
  }
}
