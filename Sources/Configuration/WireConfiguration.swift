package import Tensors

/// The number formats of what travels: computed and kept, everything is 32-bit.
package struct WireConfiguration: Hashable, Sendable, ConfigurationSection {
  /// Features, their gradients, and what FC nodes exchange of the layers between.
  package var activations = NumberFormat.fp32
  /// The workers' gradients of the conv parameters; what bf16 takes away is added to the next
  /// step's.
  package var gradients = NumberFormat.fp32
  /// The conv parameters on their way to the workers.
  package var parameters = NumberFormat.fp32

  package init() {}

  static var title: String { "wire" }
  static var fields: [Field<WireConfiguration>] {
    [
      Field(
        "activations", \.activations,
        "Of features, their gradients and the FC nodes' exchanges: \"fp32\" or \"bf16\"."),
      Field(
        "gradients", \.gradients,
        "Of the conv gradients; bf16 carries its rounding error to the next step."),
      Field("parameters", \.parameters, "Of the conv parameters on their way to the workers."),
    ]
  }
}

extension NumberFormat: ConfigurationWord {}
