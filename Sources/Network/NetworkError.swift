/// A network that cannot be: which layer, what is wrong, what was expected.
package struct NetworkError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Index in the list of layers; `nil` if the network as a whole is wrong.
  package let layer: Int?
  /// The field at fault ("groups"), or `nil`.
  package let field: String?
  package let message: String

  package init(layer: Int?, field: String? = nil, _ message: String) {
    self.layer = layer
    self.field = field
    self.message = message
  }

  package var description: String {
    let place = layer.map { "layers[\($0)]" + (field.map { ".\($0)" } ?? "") } ?? "layers"
    return "\(place): \(message)"
  }
}
