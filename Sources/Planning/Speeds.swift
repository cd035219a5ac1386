package import Network
import Tensors

/// Seconds as a function of the number of examples: a fixed part and one for each.
package struct LinearCost: Hashable, Sendable {
  package var fixed: Double
  package var perRow: Double

  package init(fixed: Double, perRow: Double) {
    self.fixed = fixed
    self.perRow = perRow
  }

  /// The line through two measurements, with no negative part.
  package init(rows: (Int, Int), seconds: (Double, Double)) {
    let slope = rows.0 == rows.1 ? 0 : (seconds.1 - seconds.0) / Double(rows.1 - rows.0)
    perRow = min(max(slope, 0), seconds.1 / Double(rows.1))
    fixed = max(seconds.1 - perRow * Double(rows.1), 0)
  }

  package func seconds(_ rows: Int) -> Double { fixed + perRow * Double(rows) }

  package static func + (a: Self, b: Self) -> Self {
    LinearCost(fixed: a.fixed + b.fixed, perRow: a.perRow + b.perRow)
  }
}

/// How fast one core computes a network's parts, and what else it has to do.
package struct Speeds: Hashable, Sendable {
  /// Of each conv stage.
  package var forward: [LinearCost]
  package var backward: [LinearCost]
  /// Of each segment of an FC node's training pass, if one node had all columns.
  package var segments: [LinearCost]
  /// Of the FC parameters' gradients, if one node had all columns.
  package var denseGradients: LinearCost
  /// Applying an optimizer step to 4 bytes of parameters.
  package var updatePerValue: Double
  /// Seconds of a core, at both ends together, for each byte that goes from one process to another.
  package var secondsPerByte: Double
  /// Seconds of a core of the worker's machine for each example that its loader prepares.
  package var dataPerRow: Double

  package init(
    forward: [LinearCost], backward: [LinearCost], segments: [LinearCost],
    denseGradients: LinearCost, updatePerValue: Double, secondsPerByte: Double = 0,
    dataPerRow: Double = 0
  ) {
    self.forward = forward
    self.backward = backward
    self.segments = segments
    self.denseGradients = denseGradients
    self.updatePerValue = updatePerValue
    self.secondsPerByte = secondsPerByte
    self.dataPerRow = dataPerRow
  }

  /// From a rate alone: every layer runs at `flops`, the optimizer at memory speed.
  ///
  /// - Parameters:
  ///   - flops: floating-point operations a second of one node; a multiply-add is two.
  ///   - memoryBytes: bytes a second that the optimizer moves, 20 a value, and sockets, which copy
  ///     each byte at both ends.
  package init(_ plan: NetworkPlan, flops: Double, memoryBytes: Double = 10e9) {
    let stages = plan.stages
    func cost(_ operations: Int) -> LinearCost {
      LinearCost(fixed: 0, perRow: Double(operations) / flops)
    }
    let first = stages.firstIndex { !$0.parameters.isEmpty }
    let adds = stages.map { stage in
      plan.convolutional[stage.layers].reduce(0) { $0 + plan.multiplyAdds(of: $1) }
    }
    forward = adds.map { cost(2 * $0) }
    // The first conv layer's input needs no gradient.
    backward = adds.indices.map { cost((first == $0 ? 2 : 4) * adds[$0]) }
    let cut = DenseCut(plan, nodes: 1)
    var segments = Array(repeating: 0, count: cut.segmentCount(training: true))
    var all = 0
    for layer in cut.layers {
      let operations = 2 * layer.inputs * cut.trainedOutputs(of: layer)
      let gathers = layer.form == .gatherInput
      // A gathered input is there after the exchange; partial sums are made before it.
      segments[layer.position(in: cut) + (gathers ? 1 : 0)] += operations
      segments[2 * cut.layers.count - layer.position(in: cut) + (gathers ? 0 : 1)] += operations
      all += operations
    }
    self.segments = segments.map(cost)
    denseGradients = cost(all)
    updatePerValue = 20 / memoryBytes
    secondsPerByte = 4 / memoryBytes
    dataPerRow = 0
  }

  /// Forward and backward of the conv part for so many examples.
  package func convolution(_ rows: Int) -> Double {
    (forward + backward).reduce(0) { $0 + $1.seconds(rows) }
  }

  /// Forward, backward and parameters' gradients of all FC layers for so many examples.
  package func dense(_ rows: Int) -> Double {
    segments.reduce(denseGradients.seconds(rows)) { $0 + $1.seconds(rows) }
  }
}

extension DenseLayerCut {
  /// Among the layers with weights, from 0.
  func position(in cut: DenseCut) -> Int {
    cut.layers.firstIndex { $0.position == position } ?? 0
  }
}
