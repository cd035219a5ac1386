package import Datasets

/// What a run is given instead of finding it by its configuration.
package struct RunInputs: Sendable {
  /// Where its parameters start.
  package var parameters: StartingParameters
  /// The data; `nil` opens what the configuration names.
  package var dataset: DatasetPair?

  package init(parameters: StartingParameters = .drawn, dataset: DatasetPair? = nil) {
    self.parameters = parameters
    self.dataset = dataset
  }
}
