/// A configuration that cannot be used, as one line for the person who wrote it:
/// `FILE: key.path: what was wrong, what was expected`.
package struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Where the value at fault was written: a file, `preset fashion`, or the option
  /// `--set optimizer.learningRate=x`; empty while it is not known yet.
  package var source: String
  /// `network.layers[4].groups`, or `nil` if the text as a whole is wrong.
  package var keyPath: String?
  package var message: String

  package init(source: String = "", keyPath: String? = nil, _ message: String) {
    self.source = source
    self.keyPath = keyPath
    self.message = message
  }

  package var description: String {
    [source, keyPath ?? "", message].filter { !$0.isEmpty }.joined(separator: ": ")
  }
}
