import Glibc
package import Network
import Tensors

/// Naive twin of all fully connected layers of a network on one node, in double precision: the
/// oracle of `DenseSlice`.
package struct DenseNetworkReference {
  /// What one pass gives.
  package struct Result {
    /// Sum over the rows that are not padding.
    package var lossSum = 0.0
    /// `[rows, classes]`.
    package var logits: [Double] = []
    /// `[rows, features]`; empty at evaluation.
    package var featureGradient: [Double] = []
    /// By parameter name; empty at evaluation.
    package var gradients: [String: [Double]] = [:]
  }

  private let plan: NetworkPlan
  private let seed: UInt64
  /// Values by parameter name, row-major.
  package var parameters: [String: [Double]]

  /// Starts with the initial values of the seed.
  package init(plan: NetworkPlan, seed: UInt64) {
    self.plan = plan
    self.seed = seed
    parameters = [:]
    for entry in plan.parameters.entries where entry.dense {
      var values = [Float](repeating: 0, count: entry.shape.count)
      values.withUnsafeMutableBufferPointer { buffer in
        guard let target = buffer.baseAddress else { return }
        entry.writeInitialValues(seed: seed, range: 0..<buffer.count, into: target)
      }
      parameters[entry.name] = values.map(Double.init)
    }
  }

  /// One pass over `[rows, features]`.
  ///
  /// - Parameters:
  ///   - labels: -1 for padding.
  ///   - positions: each row's position in the global batch; nil for 0, 1, 2 ...
  package func run(
    _ pass: DensePass, features: [Double], labels: [Int32], positions: [UInt32]? = nil
  ) -> Result {
    let positions = positions ?? labels.indices.map { UInt32($0) }
    // inputs[k] is what layer k reads; the last element is the logits.
    var inputs = [features]
    for layer in plan.fullyConnected {
      inputs.append(
        forward(layer, inputs[inputs.count - 1], pass, positions))
    }
    if pass.training, plan.sampleRate < 1 { mask(&inputs[inputs.count - 1], pass, labels) }
    var result = Result()
    result.logits = inputs[inputs.count - 1]
    let loss = LossReference.loss(
      plan.loss, result.logits, labels: labels, classes: plan.classes, examples: pass.examples)
    result.lossSum = loss.sum
    guard pass.training else { return result }
    var gradient = loss.gradient
    for (index, layer) in plan.fullyConnected.enumerated().reversed() {
      gradient = backward(
        layer, inputs[index], inputs[index + 1], gradient, pass, positions, &result.gradients)
    }
    result.featureGradient = gradient
    return result
  }

  /// Classes outside of the sample have no probability.
  private func mask(_ logits: inout [Double], _ pass: DensePass, _ labels: [Int32]) {
    let stream = RandomStream(seed: seed, purpose: .classSample, first: pass.step)
    for c in 0..<plan.classes where !labels.contains(Int32(c)) {
      guard RandomStream.uniform(stream.word(at: UInt64(c))) >= plan.sampleRate else { continue }
      for row in labels.indices { logits[row * plan.classes + c] = -.infinity }
    }
  }

  private func forward(
    _ layer: NetworkPlan.Layer, _ x: [Double], _ pass: DensePass, _ positions: [UInt32]
  ) -> [Double] {
    switch layer.operation {
    case .fullyConnected:
      return DenseReference.forward(
        x, weight: parameter(layer, 0), bias: parameter(layer, 1), inputs: layer.input.count)
    case .activation(let activation):
      return x.map {
        switch activation {
        case .relu: max($0, 0)
        case .tanh: tanh($0)
        case .sigmoid: 1 / (1 + exp(-$0))
        }
      }
    case .dropout(let dropout):
      return zip(x, factors(dropout, layer, pass, positions)).map { $0 * $1 }
    case .convolution, .pooling, .localResponseNormalization: return x
    }
  }

  private func backward(
    _ layer: NetworkPlan.Layer, _ x: [Double], _ y: [Double], _ gradient: [Double],
    _ pass: DensePass, _ positions: [UInt32], _ gradients: inout [String: [Double]]
  ) -> [Double] {
    switch layer.operation {
    case .fullyConnected:
      let all = DenseReference.backward(
        x, weight: parameter(layer, 0), outputGradient: gradient, inputs: layer.input.count,
        outputs: layer.output.count)
      let entries = Array(plan.parameters.entries(ofLayer: layer.index))
      gradients[entries[0].name] = all.weight
      gradients[entries[1].name] = all.bias
      return all.input
    case .activation(let activation):
      return zip(gradient, y).map { gradient, y in
        switch activation {
        case .relu: y > 0 ? gradient : 0
        case .tanh: gradient * (1 - y * y)
        case .sigmoid: gradient * y * (1 - y)
        }
      }
    case .dropout(let dropout):
      return zip(gradient, factors(dropout, layer, pass, positions)).map { $0 * $1 }
    case .convolution, .pooling, .localResponseNormalization: return gradient
    }
  }

  private func parameter(_ layer: NetworkPlan.Layer, _ index: Int) -> [Double] {
    let entries = Array(plan.parameters.entries(ofLayer: layer.index))
    return parameters[entries[index].name] ?? []
  }

  private func factors(
    _ dropout: Dropout, _ layer: NetworkPlan.Layer, _ pass: DensePass, _ positions: [UInt32]
  ) -> [Double] {
    DropoutReference.factors(
      dropout, training: pass.training, seed: seed, step: pass.step, layer: layer.index,
      positions: positions, units: layer.input.count)
  }
}
