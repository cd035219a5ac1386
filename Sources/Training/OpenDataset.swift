import Configuration
package import Datasets
package import Messages
import Network
import Tensors

/// A data set that is open, with what makes pixels into inputs.
package struct OpenDataset: Sendable {
  package let pair: DatasetPair
  package let normalization: Datasets.Normalization

  /// Opens the data set of the run's inputs, or else the one that the configuration names, and
  /// checks that the network fits it.
  ///
  /// - Throws: `TrainingError` saying what is missing or does not fit.
  package init(_ context: RunContext) throws(TrainingError) {
    let configuration = context.configuration
    let network = context.network
    do throws(DatasetError) {
      if let given = context.inputs.dataset {
        pair = given
      } else {
        switch configuration.dataset {
        case .idx(let dataset):
          pair = try IDXDataset.open(
            directory: dataset.path,
            names: .init(
              trainImages: dataset.trainImages, trainLabels: dataset.trainLabels,
              testImages: dataset.testImages, testLabels: dataset.testLabels))
        case .synthetic(let dataset):
          pair = try SyntheticSource.pair(
            training: dataset.examples, test: dataset.testExamples,
            shape: dataset.shape.map { Shape($0) } ?? network.input,
            classes: dataset.classes ?? network.classes, seed: configuration.seed)
        }
      }
      normalization =
        switch configuration.dataset.normalize {
        case .meanDeviation: try .measured(over: pair.train)
        case .none: .none(channels: pair.train.shape[0])
        }
    } catch {
      throw TrainingError("\(error)")
    }
    guard pair.train.shape == network.input else {
      throw TrainingError(
        "dataset: its images are \(pair.train.shape), the network's input is \(network.input)")
    }
    guard pair.train.classes <= network.classes else {
      throw TrainingError(
        "dataset: it has \(pair.train.classes) classes, the network's last layer only "
          + "\(network.classes) units")
    }
  }
  /// What the server and the program of turns need to know of it.
  package var facts: DatasetFacts {
    DatasetFacts(
      trainingExamples: UInt64(pair.train.count), evaluationExamples: UInt64(pair.test.count),
      fingerprint: pair.fingerprint)
  }

  /// Starts loading it in the order of the run.
  package func loader(seed: UInt64) -> BatchLoader {
    BatchLoader(
      training: pair.train, evaluation: pair.test,
      order: ExampleOrder(seed: seed, count: pair.train.count), normalization: normalization)
  }
}
