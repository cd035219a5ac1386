package import Network
import Tensors

/// The specification of `ConvolutionStack`: the reference layers one after the other.
package struct ReferenceStack: Sendable {
  /// `NetworkPlan.convolutional`.
  package let layers: [NetworkPlan.Layer]
  /// Each layer's weight and bias; empty for layers without.
  package let parameters: [(weight: [Double], bias: [Double])]

  /// - Parameter vectors: one a stage of the plan: weight elements, then bias elements.
  package init(_ plan: NetworkPlan, vectors: [[Double]]) {
    layers = plan.convolutional
    var parameters: [(weight: [Double], bias: [Double])] = []
    for stage in plan.stages {
      for position in stage.layers {
        guard position == stage.layers.lowerBound, let weight = stage.parameters.first else {
          parameters.append(([], []))
          continue
        }
        let vector = vectors[stage.index]
        parameters.append(
          (Array(vector.prefix(weight.shape.count)), Array(vector.dropFirst(weight.shape.count))))
      }
    }
    self.parameters = parameters
  }

  /// The input of every layer, then the features.
  package func forward(_ input: ReferenceImages) -> [ReferenceImages] {
    var activations = [input]
    for (layer, own) in zip(layers, parameters) {
      let input = activations[activations.count - 1]
      switch layer.operation {
      case .convolution(let convolution):
        activations.append(
          ReferenceConvolution.forward(
            convolution, input: input, weight: own.weight, bias: own.bias))
      case .activation(let activation):
        activations.append(ReferenceActivation.forward(activation, input: input))
      case .pooling(let pooling):
        activations.append(ReferencePooling.forward(pooling, input: input))
      case .localResponseNormalization(let normalization):
        activations.append(ReferenceNormalization.forward(normalization, input: input))
      case .fullyConnected, .dropout:
        preconditionFailure("\(layer.name) is not a layer of the convolutional part")
      }
    }
    return activations
  }

  /// The gradient of every layer's weight then bias (empty for layers without), and of the input.
  ///
  /// - Parameter activations: what `forward` gave.
  package func backward(
    _ activations: [ReferenceImages], featureGradient: ReferenceImages
  ) -> (parameters: [[Double]], input: ReferenceImages) {
    var gradients = [[Double]](repeating: [], count: layers.count)
    var gradient = featureGradient
    for (position, layer) in layers.enumerated().reversed() {
      let input = activations[position]
      switch layer.operation {
      case .convolution(let convolution):
        let result = ReferenceConvolution.backward(
          convolution, input: input, weight: parameters[position].weight, outputGradient: gradient)
        gradients[position] = result.weight + result.bias
        gradient = result.input
      case .activation(let activation):
        gradient = ReferenceActivation.backward(
          activation, input: input, outputGradient: gradient)
      case .pooling(let pooling):
        gradient = ReferencePooling.backward(pooling, input: input, outputGradient: gradient)
      case .localResponseNormalization(let normalization):
        gradient = ReferenceNormalization.backward(
          normalization, input: input, outputGradient: gradient)
      case .fullyConnected, .dropout:
        preconditionFailure("\(layer.name) is not a layer of the convolutional part")
      }
    }
    return (gradients, gradient)
  }
}
