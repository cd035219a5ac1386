package import Network

/// The specification of `Convolution`.
///
/// With group `g` of output channel `o` and `I = in / groups`:
/// `y[n, o, v, u] = b[o] + sum over i < I, p, q of
/// w[o, i, p, q] * x[n, g I + i, v stride + p - padding, u stride + q - padding]`,
/// where `x` is 0 in the padding and beyond it.
package enum ReferenceConvolution {
  /// - Parameters:
  ///   - weight: `[out, in / groups, kernel, kernel]`, row-major.
  ///   - bias: `[out]`.
  package static func forward(
    _ layer: Convolution, input: ReferenceImages, weight: [Double], bias: [Double]
  ) -> ReferenceImages {
    var output = ReferenceImages(
      rows: input.rows, channels: layer.channels, height: extent(input.height, layer),
      width: extent(input.width, layer))
    for row in 0..<output.rows {
      for channel in 0..<output.channels {
        for v in 0..<output.height {
          for u in 0..<output.width { output[row, channel, v, u] = bias[channel] }
        }
      }
    }
    forEachTerm(layer, input, output) { row, out, v, u, into, y, x, tap in
      output[row, out, v, u] += weight[tap] * input[row, into, y, x]
    }
    return output
  }

  /// `dx`, and `dw`, `db` summed over the rows.
  package static func backward(
    _ layer: Convolution, input: ReferenceImages, weight: [Double],
    outputGradient: ReferenceImages
  ) -> (input: ReferenceImages, weight: [Double], bias: [Double]) {
    var inputGradient = input.zeros
    var weightGradient = [Double](repeating: 0, count: weight.count)
    var biasGradient = [Double](repeating: 0, count: layer.channels)
    forEachTerm(layer, input, outputGradient) { row, out, v, u, into, y, x, tap in
      inputGradient[row, into, y, x] += weight[tap] * outputGradient[row, out, v, u]
      weightGradient[tap] += input[row, into, y, x] * outputGradient[row, out, v, u]
    }
    for row in 0..<outputGradient.rows {
      for channel in 0..<layer.channels {
        for v in 0..<outputGradient.height {
          for u in 0..<outputGradient.width {
            biasGradient[channel] += outputGradient[row, channel, v, u]
          }
        }
      }
    }
    return (inputGradient, weightGradient, biasGradient)
  }

  private static func extent(_ size: Int, _ layer: Convolution) -> Int {
    layer.positions(over: size)
  }

  /// Calls `body(row, out, v, u, in, y, x, tap)` for every product of the sums above; `tap` is the
  /// index of the weight.
  private static func forEachTerm(
    _ layer: Convolution, _ input: ReferenceImages, _ output: ReferenceImages,
    _ body: (Int, Int, Int, Int, Int, Int, Int, Int) -> Void
  ) {
    let inputs = input.channels / layer.groups
    let outputs = layer.channels / layer.groups
    let kernel = layer.kernel
    for row in 0..<output.rows {
      for out in 0..<output.channels {
        for v in 0..<output.height {
          for u in 0..<output.width {
            for depth in 0..<inputs {
              for p in 0..<kernel {
                for q in 0..<kernel {
                  let y = v * layer.stride + p - layer.padding
                  let x = u * layer.stride + q - layer.padding
                  guard input.contains(y, x) else { continue }
                  let tap = ((out * inputs + depth) * kernel + p) * kernel + q
                  body(row, out, v, u, out / outputs * inputs + depth, y, x, tap)
                }
              }
            }
          }
        }
      }
    }
  }
}
