/// Why a node could not start or go on: one line for people, and the exit code it calls for.
package struct NodeError: Error, Hashable, Sendable, CustomStringConvertible {
  package let message: String

  package init(_ message: String) { self.message = message }

  package var description: String { message }
}
