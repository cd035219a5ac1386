/// A data set that cannot be read or used: which file, and what was expected of it.
package struct DatasetError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file or directory at fault, or what else is at fault ("synthetic data", "loader").
  package let place: String
  /// What is wrong and what was expected.
  package let message: String

  package init(_ place: String, _ message: String) {
    self.place = place
    self.message = message
  }

  /// One line: `place: message`.
  package var description: String { "\(place): \(message)" }
}
