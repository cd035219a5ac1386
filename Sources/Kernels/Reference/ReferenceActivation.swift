import Glibc
package import Network

/// The specification of `Activation`: `max(x, 0)`, `tanh x`, `1 / (1 + e^-x)`.
package enum ReferenceActivation {
  /// `y = f(x)`.
  package static func forward(_ activation: Activation, input: ReferenceImages) -> ReferenceImages {
    var output = input
    output.values = input.values.map { x in
      switch activation {
      case .relu: max(x, 0)
      case .tanh: tanh(x)
      case .sigmoid: 1 / (1 + exp(-x))
      }
    }
    return output
  }

  /// `dx = dy f'(x)`, where ReLU's derivative at 0 is 0.
  package static func backward(
    _ activation: Activation, input: ReferenceImages, outputGradient: ReferenceImages
  ) -> ReferenceImages {
    var gradient = outputGradient
    let output = forward(activation, input: input).values
    for index in gradient.values.indices {
      let y = output[index]
      switch activation {
      case .relu: gradient.values[index] *= y > 0 ? 1 : 0
      case .tanh: gradient.values[index] *= 1 - y * y
      case .sigmoid: gradient.values[index] *= y * (1 - y)
      }
    }
    return gradient
  }
}
