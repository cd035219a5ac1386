import Kernels
import Network
import Testing

/// The reference's gradients against finite differences of its own forward pass.
@Suite struct ReferenceLayerTests {
  /// Central differences in double precision: truncation O(h^2), rounding O(1e-16 / h).
  private static let step = 1e-5
  private static let tolerance = 1e-8

  private static func images(
    _ rows: Int, _ channels: Int, _ height: Int, _ width: Int, _ name: String
  ) -> ReferenceImages {
    ReferenceImages(
      rows: rows, channels: channels, height: height, width: width,
      values: StackHarness.random(rows * channels * height * width, 7, name).map(Double.init))
  }

  /// d(sum of `weights * f(values)`) / d values, element by element.
  private static func differences(
    _ values: [Double], _ f: ([Double]) -> [Double], weights: [Double]
  ) -> [Double] {
    values.indices.map { index in
      var shifted = values
      shifted[index] = values[index] + step
      let above = zip(f(shifted), weights).reduce(0) { $0 + $1.0 * $1.1 }
      shifted[index] = values[index] - step
      let below = zip(f(shifted), weights).reduce(0) { $0 + $1.0 * $1.1 }
      return (above - below) / (2 * step)
    }
  }

  private static func with(_ images: ReferenceImages, _ values: [Double]) -> ReferenceImages {
    var images = images
    images.values = values
    return images
  }

  private static func gradient(like output: ReferenceImages) -> ReferenceImages {
    images(output.rows, output.channels, output.height, output.width, "output gradient")
  }

  @Test(arguments: [
    Convolution(channels: 4, kernel: 3), Convolution(channels: 4, kernel: 3, padding: 1),
    Convolution(channels: 6, kernel: 3, stride: 2, padding: 1, groups: 2),
    Convolution(channels: 4, kernel: 5, stride: 4, padding: 2, groups: 4),
  ])
  func `a convolution's gradients are its slopes`(_ layer: Convolution) {
    let input = Self.images(2, 4, 7, 6, "input")
    let weight = Self.images(layer.channels, 4 / layer.groups, layer.kernel, layer.kernel, "w")
      .values
    let bias = Self.images(1, layer.channels, 1, 1, "b").values
    let output = ReferenceConvolution.forward(layer, input: input, weight: weight, bias: bias)
    let flowing = Self.gradient(like: output)
    let gradients = ReferenceConvolution.backward(
      layer, input: input, weight: weight, outputGradient: flowing)
    let ofInput = Self.differences(
      input.values,
      {
        ReferenceConvolution.forward(
          layer, input: Self.with(input, $0), weight: weight, bias: bias
        ).values
      }, weights: flowing.values)
    #expect(relativeError(gradients.input.values, ofInput) < Self.tolerance)
    let ofWeight = Self.differences(
      weight,
      { ReferenceConvolution.forward(layer, input: input, weight: $0, bias: bias).values },
      weights: flowing.values)
    #expect(relativeError(gradients.weight, ofWeight) < Self.tolerance)
    let ofBias = Self.differences(
      bias, { ReferenceConvolution.forward(layer, input: input, weight: weight, bias: $0).values },
      weights: flowing.values)
    #expect(relativeError(gradients.bias, ofBias) < Self.tolerance)
  }

  @Test(arguments: [Pooling.Kind.max, .average], [false, true])
  func `a pooling's gradient is its slope`(_ kind: Pooling.Kind, _ ceil: Bool) {
    for (window, stride, padding) in [(2, 2, 0), (3, 2, 0), (3, 2, 1), (4, 3, 2), (2, 3, 0)] {
      let layer = Pooling(kind, window: window, stride: stride, padding: padding, ceil: ceil)
      let input = Self.images(2, 3, 8, 7, "input")
      let flowing = Self.gradient(like: ReferencePooling.forward(layer, input: input))
      let slopes = Self.differences(
        input.values, { ReferencePooling.forward(layer, input: Self.with(input, $0)).values },
        weights: flowing.values)
      let gradient = ReferencePooling.backward(layer, input: input, outputGradient: flowing)
      #expect(relativeError(gradient.values, slopes) < Self.tolerance, "\(layer)")
    }
  }

  @Test(arguments: [3, 5], [true, false])
  func `a normalization's gradient is its slope`(_ size: Int, _ divide: Bool) {
    let layer = LocalResponseNormalization(
      size: size, alpha: 0.3, beta: 0.75, k: 2, divideBySize: divide)
    let input = Self.images(2, 7, 3, 3, "input")
    let flowing = Self.gradient(like: input)
    let slopes = Self.differences(
      input.values, { ReferenceNormalization.forward(layer, input: Self.with(input, $0)).values },
      weights: flowing.values)
    let gradient = ReferenceNormalization.backward(layer, input: input, outputGradient: flowing)
    #expect(relativeError(gradient.values, slopes) < Self.tolerance)
  }

  @Test(arguments: Activation.allCases)
  func `an activation's gradient is its slope`(_ activation: Activation) {
    let input = Self.images(2, 3, 5, 5, "input")
    let flowing = Self.gradient(like: input)
    let slopes = Self.differences(
      input.values, { ReferenceActivation.forward(activation, input: Self.with(input, $0)).values },
      weights: flowing.values)
    let gradient = ReferenceActivation.backward(
      activation, input: input, outputGradient: flowing)
    #expect(relativeError(gradient.values, slopes) < Self.tolerance)
  }
}
