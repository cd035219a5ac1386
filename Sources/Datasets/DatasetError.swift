/// A data set that cannot be read or used: which file, and what was expected of it.
package struct DatasetError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file or directory at fault, or what else is at fault ("synthetic data", "loader").
  package let place: String
  /// What is wrong and what was expected.
  package let message: String
  /// Whether another machine with the same data would fare no better: the run cannot go on.
  package let endsRun: Bool
  /// Whether the machine is at fault and not the data (its disk fails, no descriptor is left): another
  /// one may fare better.
  package let isOfMachine: Bool

  package init(
    _ place: String, _ message: String, endsRun: Bool = false, isOfMachine: Bool = false
  ) {
    self.place = place
    self.message = message
    self.endsRun = endsRun
    self.isOfMachine = isOfMachine
  }

  /// One line: `place: message`.
  package var description: String { "\(place): \(message)" }
}
