import Glibc
import Network
import Tensors

/// An activation or dropout layer on one node's slice `[rows, units]`: no exchange needed.
final class DenseElementwise {
  private enum Operation {
    case activation(Activation)
    case dropout(DropoutMask)
  }

  private let operation: Operation
  private let layer: Int
  private let count: Int
  private let memory: AlignedBuffer

  /// - Parameters:
  ///   - layer: an activation or a dropout.
  ///   - units: the slice, in units of the whole layer.
  init?(_ layer: NetworkPlan.Layer, units: Range<Int>, rows: Int) {
    switch layer.operation {
    case .activation(let activation): operation = .activation(activation)
    case .dropout(let dropout):
      operation = .dropout(DropoutMask(dropout, units: units, rows: rows))
    case .convolution, .pooling, .localResponseNormalization, .fullyConnected: return nil
    }
    self.layer = layer.index
    count = rows * units.count
    memory = AlignedBuffer(floats: count)
  }

  /// `[rows, units]`, valid until the next forward.
  var output: UnsafeMutablePointer<Float> { memory.floatPointer }

  /// Computes `output`; draws the mask of a dropout in training.
  func forward(
    _ input: UnsafePointer<Float>, pass: DensePass, seed: UInt64, positions: UnsafePointer<UInt32>
  ) {
    switch operation {
    case .activation(let activation):
      Self.apply(activation, input, output, count)
    case .dropout(let mask):
      guard pass.training else {
        let scale = mask.evaluationScale
        for index in 0..<count { output[index] = input[index] * scale }
        return
      }
      let stream = RandomStream(
        seed: seed, purpose: .dropout, first: pass.step,
        second: UInt32(truncatingIfNeeded: layer))
      mask.draw(stream, positions: positions)
      mask.apply(input, into: output)
    }
  }

  /// Turns the gradient of the outputs into that of the inputs, in place.
  func backward(_ gradient: UnsafeMutablePointer<Float>) {
    let y = output
    switch operation {
    case .activation(.relu):
      for index in 0..<count { gradient[index] = y[index] > 0 ? gradient[index] : 0 }
    case .activation(.tanh):
      for index in 0..<count { gradient[index] *= 1 - y[index] * y[index] }
    case .activation(.sigmoid):
      for index in 0..<count { gradient[index] *= y[index] * (1 - y[index]) }
    case .dropout(let mask):
      mask.apply(gradient, into: gradient)
    }
  }

  private static func apply(
    _ activation: Activation, _ input: UnsafePointer<Float>,
    _ output: UnsafeMutablePointer<Float>, _ count: Int
  ) {
    switch activation {
    case .relu:
      // Written so that a NaN stays one: divergence must not be hidden.
      for index in 0..<count { output[index] = input[index] < 0 ? 0 : input[index] }
    case .tanh:
      for index in 0..<count { output[index] = tanhf(input[index]) }
    case .sigmoid:
      for index in 0..<count { output[index] = 1 / (1 + expf(-input[index])) }
    }
  }
}
