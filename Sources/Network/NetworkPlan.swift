package import Tensors

/// A network with every shape known: the convolutional part, which every worker replicates, and
/// the fully connected part, which the FC nodes cut.
///
/// The cut falls before the first fully connected layer, or before a dropout that stands directly
/// in front of it (torchvision drops the *inputs* of fc6).
package struct NetworkPlan: Hashable, Sendable {
  /// One layer with its shapes; batch axis left out.
  package struct Layer: Hashable, Sendable {
    /// Index in the whole list.
    package let index: Int
    /// "conv1", "relu1", "pool1", "fc6" ...: what people see.
    package let name: String
    package let operation: LayerSpec.Operation
    /// `[C, H, W]` or `[units]`.
    package let input: Shape
    package let output: Shape
    /// torchvision's name of the layer: "features.3" or "classifier.1".
    package let path: String
  }

  /// `[C, H, W]` of one example.
  package let input: Shape
  package let convolutional: [Layer]
  package let fullyConnected: [Layer]
  package let parameters: ParameterTable
  /// What the outputs of the last layer mean.
  package let loss: Loss
  /// The part of the classes, drawn at random, that a training step's loss is over beside those of
  /// its own examples; 1 for all.
  package let sampleRate: Float

  /// Units of the flattened output of the convolutional part, in C, H, W order.
  package var features: Int { convolutional.last?.output.count ?? input.count }

  /// Units of the last layer.
  package var classes: Int { fullyConnected.last?.output.count ?? 0 }

  package var layers: [Layer] { convolutional + fullyConnected }

  /// Units of the narrowest activation of the fully connected part, of which every FC node must own
  /// something, and the layer that makes it; `nil` for the convolutional part.
  package var narrowest: (units: Int, layer: String?) {
    var narrowest: (units: Int, layer: String?) = (features, nil)
    for layer in fullyConnected where layer.output.count < narrowest.units {
      narrowest = (layer.output.count, layer.name)
    }
    return narrowest
  }

  /// Infers shapes and checks that the network can exist.
  ///
  /// - Throws: `NetworkError` naming the layer and the field.
  package init(
    input: Shape, layers specs: [LayerSpec], loss: Loss = .softmax, sampleRate: Float = 1
  ) throws(NetworkError) {
    guard input.rank == 3 else {
      throw NetworkError(layer: nil, "the input must be [channels, height, width], not \(input)")
    }
    guard
      let firstDense = specs.firstIndex(where: {
        if case .fullyConnected = $0.operation { true } else { false }
      })
    else {
      throw NetworkError(
        layer: nil, "no fc layer: the last layer must be an fc with one unit a class")
    }
    var boundary = firstDense
    while boundary > 0, case .dropout = specs[boundary - 1].operation { boundary -= 1 }

    var numbering = LayerNumbering()
    var shape = input
    var convolutional: [Layer] = []
    var fullyConnected: [Layer] = []
    var names: Set<String> = []
    for (index, spec) in specs.enumerated() {
      let dense = index >= boundary
      if index == boundary { shape = Shape(shape.count) }
      let output = try ShapeRule.output(
        of: spec.operation, input: shape, index: index, dense: dense)
      let name = numbering.name(for: spec)
      guard names.insert(name).inserted else {
        throw NetworkError(layer: index, field: "name", "two layers are called \"\(name)\"")
      }
      let layer = Layer(
        index: index, name: name, operation: spec.operation, input: shape, output: output,
        path: dense ? "classifier.\(index - boundary)" : "features.\(index)")
      if dense { fullyConnected.append(layer) } else { convolutional.append(layer) }
      shape = output
    }
    guard case .fullyConnected(let last) = specs[specs.count - 1].operation else {
      throw NetworkError(
        layer: specs.count - 1, "the last layer must be an fc: the loss reads its outputs as logits"
      )
    }
    guard sampleRate == 1 || last.form != .scatterOutput else {
      throw NetworkError(
        layer: specs.count - 1, field: "form",
        "must be gather-input with a sampleRate below 1: a node draws among the classes whose"
          + " weights it has whole")
    }
    self.input = input
    self.convolutional = convolutional
    self.fullyConnected = fullyConnected
    parameters = ParameterTable(layers: convolutional + fullyConnected)
    self.loss = loss
    self.sampleRate = sampleRate
  }
}

/// Numbers layers as the papers do: conv1..conv5, fc6..fc8 count together, other layers take the
/// number of the weighted layer before them ("relu1", "pool2").
struct LayerNumbering {
  private var weighted = 0
  private var used: [String: Int] = [:]

  mutating func name(for spec: LayerSpec) -> String {
    let stem: String
    switch spec.operation {
    case .convolution:
      weighted += 1
      stem = "conv"
    case .fullyConnected:
      weighted += 1
      stem = "fc"
    case .activation(let activation): stem = activation.rawValue
    case .pooling: stem = "pool"
    case .localResponseNormalization: stem = "lrn"
    case .dropout: stem = "dropout"
    }
    if let name = spec.name { return name }
    let name = "\(stem)\(weighted)"
    let count = used[name, default: 0]
    used[name] = count + 1
    return count == 0 ? name : "\(name)_\(count + 1)"
  }
}
