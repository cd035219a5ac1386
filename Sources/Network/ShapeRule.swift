import Tensors

/// Output shapes of layers, and the reasons why a layer cannot be.
enum ShapeRule {
  /// - Parameter dense: whether the layer stands in the fully connected part.
  static func output(
    of operation: LayerSpec.Operation, input: Shape, index: Int, dense: Bool
  ) throws(NetworkError) -> Shape {
    switch operation {
    case .convolution(let convolution):
      try requireImage(dense, index, "conv")
      return try convolve(convolution, input, index)
    case .pooling(let pooling):
      try requireImage(dense, index, "pool")
      return try pool(pooling, input, index)
    case .localResponseNormalization(let lrn):
      try requireImage(dense, index, "lrn")
      guard lrn.size >= 1, lrn.size % 2 == 1 else {
        throw NetworkError(
          layer: index, field: "size", "must be odd and at least 1, not \(lrn.size)")
      }
      guard lrn.k > 0, lrn.k.isFinite else {
        throw NetworkError(layer: index, field: "k", "must be positive, not \(lrn.k)")
      }
      guard lrn.alpha >= 0, lrn.alpha.isFinite else {
        throw NetworkError(layer: index, field: "alpha", "must not be negative, got \(lrn.alpha)")
      }
      guard lrn.beta.isFinite else {
        throw NetworkError(layer: index, field: "beta", "must be a number, not \(lrn.beta)")
      }
      return input
    case .activation:
      return input
    case .dropout(let dropout):
      guard dense else {
        throw NetworkError(
          layer: index, "dropout stands before or after an fc layer, not among the conv layers")
      }
      guard dropout.rate >= 0, dropout.rate < 1 else {
        throw NetworkError(
          layer: index, field: "rate", "must be at least 0 and below 1, not \(dropout.rate)")
      }
      return input
    case .fullyConnected(let layer):
      guard layer.units >= 1 else {
        throw NetworkError(layer: index, field: "units", "must be at least 1, not \(layer.units)")
      }
      return Shape(layer.units)
    }
  }

  private static func requireImage(
    _ dense: Bool, _ index: Int, _ what: String
  ) throws(NetworkError) {
    guard !dense else {
      throw NetworkError(layer: index, "a \(what) layer cannot follow an fc layer")
    }
  }

  private static func convolve(
    _ layer: Convolution, _ input: Shape, _ index: Int
  ) throws(NetworkError) -> Shape {
    for (field, value) in [
      ("channels", layer.channels), ("kernel", layer.kernel), ("stride", layer.stride),
      ("groups", layer.groups),
    ] where value < 1 {
      throw NetworkError(layer: index, field: field, "must be at least 1, not \(value)")
    }
    guard layer.padding >= 0 else {
      throw NetworkError(
        layer: index, field: "padding", "must not be negative, got \(layer.padding)")
    }
    guard input[0] % layer.groups == 0 else {
      throw NetworkError(
        layer: index, field: "groups",
        "\(layer.groups) groups do not divide the \(input[0]) input channels")
    }
    guard layer.channels % layer.groups == 0 else {
      throw NetworkError(
        layer: index, field: "groups",
        "\(layer.groups) groups do not divide the \(layer.channels) output channels")
    }
    var extents = [layer.channels]
    for size in input.extents.dropFirst() {
      guard size + 2 * layer.padding >= layer.kernel else {
        throw NetworkError(
          layer: index, field: "kernel",
          "\(layer.kernel) is larger than its padded input, \(input) with padding \(layer.padding)")
      }
      extents.append(layer.positions(over: size))
    }
    return Shape(extents)
  }

  private static func pool(
    _ layer: Pooling, _ input: Shape, _ index: Int
  ) throws(NetworkError) -> Shape {
    for (field, value) in [("window", layer.window), ("stride", layer.stride)] where value < 1 {
      throw NetworkError(layer: index, field: field, "must be at least 1, not \(value)")
    }
    guard layer.padding >= 0, 2 * layer.padding <= layer.window else {
      throw NetworkError(
        layer: index, field: "padding",
        "must be between 0 and half the window (\(layer.window)), not \(layer.padding)")
    }
    var extents = [input[0]]
    for size in input.extents.dropFirst() {
      guard size + 2 * layer.padding >= layer.window else {
        throw NetworkError(
          layer: index, field: "window", "\(layer.window) is larger than its input, \(input)")
      }
      let span = size + 2 * layer.padding - layer.window
      var count = (layer.ceil ? span + layer.stride - 1 : span) / layer.stride + 1
      // Caffe and PyTorch: a last window that would start in the padding is dropped.
      if layer.ceil, (count - 1) * layer.stride >= size + layer.padding { count -= 1 }
      extents.append(count)
    }
    return Shape(extents)
  }
}
