/// Why a run or an evaluation cannot be: one line for people.
package struct TrainingError: Error, Hashable, Sendable, CustomStringConvertible {
  package let message: String

  package init(_ message: String) { self.message = message }

  package var description: String { message }
}
