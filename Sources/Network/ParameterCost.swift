import Tensors

extension NetworkPlan {
  /// Multiply-adds of one example's forward pass through a layer; 0 for layers without weights.
  package func multiplyAdds(of layer: Layer) -> Int {
    switch layer.operation {
    case .convolution(let convolution):
      let perOutput =
        layer.input[0] / convolution.groups * convolution.kernel * convolution.kernel
      return layer.output.count * perOutput
    case .fullyConnected:
      return layer.input.count * layer.output.count
    case .activation, .pooling, .localResponseNormalization, .dropout:
      return 0
    }
  }
}
