import Glibc
package import Network

/// The specification of `LocalResponseNormalization` (2012 paper, section 3.3).
///
/// `s[i] = k + alpha' * sum over the neighbours j of i of x[j]^2`; `y[i] = x[i] * s[i]^-beta`.
/// Neighbours are the `size` channels around `i` at its place, or the `size` x `size` places around
/// it in its channel, the window cut at the edges. `alpha' = alpha / neighbours` of a whole window
/// when `divideBySize`. Hence, as being neighbours is mutual,
/// `dx[i] = dy[i] s[i]^-beta
///   - 2 alpha' beta x[i] * sum over the neighbours j of i of dy[j] x[j] s[j]^(-beta - 1)`.
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
    var cross = input
    for index in cross.values.indices {
      cross.values[index] *= outputGradient.values[index] * pow(scale.values[index], -beta - 1)
    }
    let sums = windowSums(layer, cross)
    var gradient = input
    for index in gradient.values.indices {
      gradient.values[index] =
        outputGradient.values[index] * pow(scale.values[index], -beta)
        - 2 * alpha(layer) * beta * input.values[index] * sums.values[index]
    }
    return gradient
  }

  private static func alpha(_ layer: LocalResponseNormalization) -> Double {
    layer.divideBySize ? Double(layer.alpha) / Double(layer.neighbours) : Double(layer.alpha)
  }

  private static func scales(
    _ layer: LocalResponseNormalization, _ input: ReferenceImages
  ) -> ReferenceImages {
    var squares = input
    for index in squares.values.indices { squares.values[index] *= input.values[index] }
    var scale = windowSums(layer, squares)
    for index in scale.values.indices {
      scale.values[index] = Double(layer.k) + alpha(layer) * scale.values[index]
    }
    return scale
  }

  /// Sums each value's neighbours, itself among them.
  private static func windowSums(
    _ layer: LocalResponseNormalization, _ values: ReferenceImages
  ) -> ReferenceImages {
    func window(_ place: Int, _ extent: Int) -> ClosedRange<Int> {
      max(0, place - layer.size / 2)...min(extent - 1, place + layer.size / 2)
    }
    var sums = values.zeros
    for row in 0..<values.rows {
      for channel in 0..<values.channels {
        for y in 0..<values.height {
          for x in 0..<values.width {
            var sum = 0.0
            switch layer.region {
            case .acrossChannels:
              for other in window(channel, values.channels) { sum += values[row, other, y, x] }
            case .withinChannel:
              for v in window(y, values.height) {
                for u in window(x, values.width) { sum += values[row, channel, v, u] }
              }
            }
            sums[row, channel, y, x] = sum
          }
        }
      }
    }
    return sums
  }
}
