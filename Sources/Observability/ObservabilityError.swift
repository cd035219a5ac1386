/// A status record that cannot be read, or a file that cannot be written.
package struct ObservabilityError: Error, Hashable, Sendable, CustomStringConvertible {
  /// One line: what is wrong and what was expected.
  package let message: String

  package init(_ message: String) { self.message = message }

  package var description: String { message }
}
