/// Naive twin of a fully connected layer: three loops, sums in double precision.
package enum DenseReference {
  /// `y[n, o] = sum_i x[n, i] w[o, i] + b[o]`.
  package static func forward(
    _ x: [Double], weight: [Double], bias: [Double], inputs: Int
  ) -> [Double] {
    let outputs = bias.count
    let rows = inputs == 0 ? 0 : x.count / inputs
    var y = [Double](repeating: 0, count: rows * outputs)
    for n in 0..<rows {
      for o in 0..<outputs {
        var sum = bias[o]
        for i in 0..<inputs { sum += x[n * inputs + i] * weight[o * inputs + i] }
        y[n * outputs + o] = sum
      }
    }
    return y
  }

  /// The gradients of inputs `[n, i]`, weight `[o, i]` and bias `[o]` from that of the outputs.
  package static func backward(
    _ x: [Double], weight: [Double], outputGradient: [Double], inputs: Int, outputs: Int
  ) -> (input: [Double], weight: [Double], bias: [Double]) {
    let rows = x.count / inputs
    var dx = [Double](repeating: 0, count: x.count)
    var dw = [Double](repeating: 0, count: weight.count)
    var db = [Double](repeating: 0, count: outputs)
    for n in 0..<rows {
      for o in 0..<outputs {
        let dy = outputGradient[n * outputs + o]
        db[o] += dy
        for i in 0..<inputs {
          dx[n * inputs + i] += dy * weight[o * inputs + i]
          dw[o * inputs + i] += dy * x[n * inputs + i]
        }
      }
    }
    return (dx, dw, db)
  }
}
