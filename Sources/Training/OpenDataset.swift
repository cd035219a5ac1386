import Configuration
import Coordination
package import Datasets
package import Messages
import Network
import Tensors

/// A data set that is open, with what makes pictures into inputs.
package struct OpenDataset: Sendable {
  package let pair: DatasetPair
  package let views: ViewMaker
  private let seed: UInt64
  private let globalBatch: Int
  private let maxBrokenFraction: Double

  /// Of pictures in a folder, so many are looked at for their statistics: decoding all of a large
  /// one would take longer than a user waits. More give a steadier mean, fewer a quicker start.
  private static let mostPicturesMeasured = 10_000

  /// Opens the data set of the run's inputs, or else the one that the configuration names, and
  /// checks that the network fits it.
  ///
  /// - Throws: `TrainingError` saying what is missing or does not fit.
  package init(_ context: RunContext) throws(TrainingError) {
    let network = context.network
    seed = context.configuration.seed
    globalBatch = context.plan.globalBatch
    maxBrokenFraction = context.configuration.dataset.maxBrokenFraction
    do throws(DatasetError) {
      let pair: DatasetPair
      if let given = context.inputs.dataset {
        pair = given
      } else {
        pair = try Self.open(context)
      }
      self.pair = pair
    } catch {
      throw TrainingError("\(error)")
    }
    do throws(DatasetError) {
      views = try Self.views(of: pair, context)
    } catch {
      throw TrainingError("\(error)", isOfConfiguration: error.place.hasPrefix("dataset"))
    }
    guard pair.train.classes <= network.classes else {
      throw TrainingError(
        "dataset: it has \(pair.train.classes) classes, the network's last layer only "
          + "\(network.classes) units", isOfConfiguration: true)
    }
  }

  /// What is strange about a network that has more outputs than the data has classes; `nil` for
  /// nothing.
  package func surplus(_ context: RunContext) -> String? {
    let (classes, units) = (pair.train.classes, context.network.classes)
    guard classes < units else { return nil }
    return "the data set has \(classes) classes, the network's last layer \(units) units"
  }

  private static func open(_ context: RunContext) throws(DatasetError) -> DatasetPair {
    let network = context.network
    switch context.configuration.dataset {
    case .idx(let dataset):
      return try Datasets.IDXDataset.open(
        directory: dataset.path,
        names: .init(
          trainImages: dataset.trainImages, trainLabels: dataset.trainLabels,
          testImages: dataset.testImages, testLabels: dataset.testLabels))
    case .cifar(let dataset):
      return try CIFARDataset.open(
        directory: dataset.path, labels: dataset.labels == .fine ? .fine : .coarse)
    case .folder(let dataset):
      return try ImageFolderDataset.open(
        directory: dataset.path, train: dataset.train, test: dataset.test,
        side: dataset.size ?? network.input[1])
    case .prepared(let dataset):
      return try PreparedDataset.open(
        directory: dataset.path, test: dataset.test, groups: dataset.shardGroups ?? 0)
    case .synthetic(let dataset):
      return try SyntheticSource.pair(
        training: dataset.examples, test: dataset.testExamples,
        shape: dataset.shape.map { Shape($0) } ?? network.input,
        classes: dataset.classes ?? network.classes, seed: context.configuration.seed)
    }
  }

  /// Looks at the training set's pixels if the configuration needs to know of them.
  private static func views(
    of pair: DatasetPair, _ context: RunContext
  ) throws(DatasetError) -> ViewMaker {
    let dataset = context.configuration.dataset
    var augmentation = Augmentation()
    augmentation.crop = dataset.augmentation.crop == .random ? .random : .center
    augmentation.padding = dataset.augmentation.padding
    augmentation.flip = dataset.augmentation.flip
    augmentation.colorNoise = dataset.augmentation.colorNoise
    augmentation.colorScale =
      dataset.augmentation.colorNoiseScale == .deviation ? .deviation : .variance
    augmentation.rescalesColors = dataset.augmentation.colorNoiseRescale
    let channels = pair.train.shape[0]
    if dataset.normalize == .torchvision, channels != 3 {
      throw DatasetError(
        "dataset.normalize", "\"torchvision\" is for 3 channels, the pictures have \(channels)")
    }
    guard
      ![.none, .torchvision].contains(dataset.normalize) || augmentation.colorNoise > 0
    else {
      return try ViewMaker(
        source: pair.train.shape, output: context.network.input, augmentation: augmentation,
        normalization: dataset.normalize == .none ? .none(channels: channels) : .torchvision)
    }
    let statistics: ImageStatistics
    if let kept = pair.statistics {
      statistics = kept
    } else {
      var most = Int.max
      if case .folder = dataset { most = mostPicturesMeasured }
      statistics = try .measured(over: pair.train, most: most)
    }
    let normalization: Datasets.Normalization =
      switch dataset.normalize {
      case .meanDeviation: .meanDeviation(statistics)
      case .pixelMean: .pixelMean(statistics)
      case .pixelMeanMiddle: .pixelMean(statistics, takesMiddle: true)
      case .channelMean: .channelMean(statistics)
      case .torchvision: .torchvision
      case .none: .none(channels: channels)
      }
    return try ViewMaker(
      source: pair.train.shape, output: context.network.input, augmentation: augmentation,
      normalization: normalization, colors: statistics.colors)
  }

  /// What the server and the program of turns need to know of it.
  package var facts: DatasetFacts {
    DatasetFacts(
      trainingExamples: UInt64(pair.train.count), evaluationExamples: UInt64(pair.test.count),
      fingerprint: pair.fingerprint)
  }

  /// Starts loading it in the order of the run. Others take the place of examples that cannot be read.
  ///
  /// - Parameters:
  ///   - depth: batches that are loaded ahead at most.
  ///   - threads: how many decode at a time, each a batch of its own.
  package func loader(depth: Int = 3, threads: Int = 1) -> BatchLoader {
    let order =
      pair.groups.map { ExampleOrder(seed: seed, groups: $0, globalBatch: globalBatch) }
      ?? ExampleOrder(seed: seed, count: pair.train.count)
    let broken = BrokenExamples(mostFraction: maxBrokenFraction)
    return BatchLoader(
      training: pair.train, evaluation: pair.test, order: order, views: views, depth: depth,
      threads: threads, broken: broken)
  }
}
