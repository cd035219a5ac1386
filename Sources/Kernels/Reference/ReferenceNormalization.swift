import Glibc
package import Network

/// The specification of `LocalResponseNormalization` (2012 paper, section 3.3).
///
/// `s[c] = k + alpha' * sum over |j - c| <= size / 2 of x[j]^2`, the window cut at the first and
/// last channel; `y[c] = x[c] * s[c]^-beta`; `alpha' = alpha / size` when `divideBySize`.
/// Hence `dx[c] = dy[c] s[c]^-beta
///   - 2 alpha' beta x[c] * sum over |j - c| <= size / 2 of dy[j] x[j] s[j]^(-beta - 1)`.
package enum ReferenceNormalization {
  /// `y`.
  package static func forward(
    _ layer: LocalResponseNormalization, input: ReferenceImages
  ) -> ReferenceImages {
    let scale = scales(layer, input)
    var output = input
    for index in output.values.indices {
      output.values[index] *= pow(scale.values[index], -Double(layer.beta))
    }
    return output
  }

  /// `dx`.
  package static func backward(
    _ layer: LocalResponseNormalization, input: ReferenceImages, outputGradient: ReferenceImages
  ) -> ReferenceImages {
    let scale = scales(layer, input)
    let beta = Double(layer.beta)
    var gradient = input.zeros
    for row in 0..<input.rows {
      for y in 0..<input.height {
        for x in 0..<input.width {
          for channel in 0..<input.channels {
            var cross = 0.0
            for other in window(layer, channel, input.channels) {
              cross +=
                outputGradient[row, other, y, x] * input[row, other, y, x]
                * pow(scale[row, other, y, x], -beta - 1)
            }
            gradient[row, channel, y, x] =
              outputGradient[row, channel, y, x] * pow(scale[row, channel, y, x], -beta)
              - 2 * alpha(layer) * beta * input[row, channel, y, x] * cross
          }
        }
      }
    }
    return gradient
  }

  private static func alpha(_ layer: LocalResponseNormalization) -> Double {
    layer.divideBySize ? Double(layer.alpha) / Double(layer.size) : Double(layer.alpha)
  }

  private static func window(
    _ layer: LocalResponseNormalization, _ channel: Int, _ channels: Int
  ) -> ClosedRange<Int> {
    max(0, channel - layer.size / 2)...min(channels - 1, channel + layer.size / 2)
  }

  private static func scales(
    _ layer: LocalResponseNormalization, _ input: ReferenceImages
  ) -> ReferenceImages {
    var scale = input.zeros
    for row in 0..<input.rows {
      for channel in 0..<input.channels {
        for y in 0..<input.height {
          for x in 0..<input.width {
            var sum = 0.0
            for other in window(layer, channel, input.channels) {
              sum += input[row, other, y, x] * input[row, other, y, x]
            }
            scale[row, channel, y, x] = Double(layer.k) + alpha(layer) * sum
          }
        }
      }
    }
    return scale
  }
}
