/// Why a run or an evaluation cannot be: one line for people.
package struct TrainingError: Error, Hashable, Sendable, CustomStringConvertible {
  package let message: String
  /// Whether it is the configuration that has to be changed.
  package let isOfConfiguration: Bool

  package init(_ message: String, isOfConfiguration: Bool = false) {
    self.message = message
    self.isOfConfiguration = isOfConfiguration
  }

  package var description: String { message }
}
