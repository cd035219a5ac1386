package import Tensors

/// Every trained tensor of a network, in the order of its layers, weight before bias.
package struct ParameterTable: Hashable, Sendable {
  package struct Entry: Hashable, Sendable {
    package enum Kind: String, Hashable, Sendable { case weight, bias }
    /// Index in the table.
    package let key: Int
    /// torchvision's name: "features.0.weight".
    package let name: String
    /// The layer's name for people: "conv1".
    package let layerName: String
    /// Index of the layer in the whole network.
    package let layer: Int
    package let kind: Kind
    /// `[out, in / groups, kh, kw]`, `[out, in]` or `[out]`; row-major.
    package let shape: Shape
    package let initial: Initializer
    /// Inputs that reach one output: what the `kaiming`, `lecun` and `uniformFanIn` rules divide by.
    package let fanIn: Int
    /// Whether the FC nodes own it (else the parameter server does).
    package let dense: Bool
  }

  package let entries: [Entry]

  init(layers: [NetworkPlan.Layer]) {
    var entries: [Entry] = []
    for layer in layers {
      let weight: Shape
      let fanIn: Int
      let initial: (weight: Initializer, bias: Initializer)
      let dense: Bool
      switch layer.operation {
      case .convolution(let convolution):
        let depth = layer.input[0] / convolution.groups
        weight = Shape(convolution.channels, depth, convolution.kernel, convolution.kernel)
        fanIn = depth * convolution.kernel * convolution.kernel
        initial = (convolution.weight, convolution.bias)
        dense = false
      case .fullyConnected(let full):
        weight = Shape(full.units, layer.input.count)
        fanIn = layer.input.count
        initial = (full.weight, full.bias)
        dense = true
      case .activation, .pooling, .localResponseNormalization, .dropout:
        continue
      }
      for kind in [Entry.Kind.weight, .bias] {
        entries.append(
          Entry(
            key: entries.count, name: "\(layer.path).\(kind.rawValue)", layerName: layer.name,
            layer: layer.index, kind: kind, shape: kind == .weight ? weight : Shape(weight[0]),
            initial: kind == .weight ? initial.weight : initial.bias, fanIn: fanIn, dense: dense))
      }
    }
    self.entries = entries
  }

  /// Number of trained values.
  package var count: Int { entries.reduce(0) { $0 + $1.shape.count } }

  /// The entries that belong to one layer of the network: weight, then bias.
  package func entries(ofLayer index: Int) -> ArraySlice<Entry> {
    guard let first = entries.firstIndex(where: { $0.layer == index }) else { return [] }
    return entries[first..<first + 2]
  }
}
