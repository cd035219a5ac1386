/// A safetensors file that could not be written, or that must not be believed: which and why.
package struct SafeTensorsError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file.
  package let path: String
  /// What is wrong with it, or which call failed and why.
  package let reason: String

  /// An error about one file.
  package init(path: String, reason: String) {
    self.path = path
    self.reason = reason
  }

  /// "path: reason".
  package var description: String { "\(path): \(reason)" }
}
