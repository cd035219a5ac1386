import Network
import Tensors

/// A number of a pass that is infinite or not a number.
package struct NonFiniteNumber: Hashable, Sendable {
  /// Counts up along the pass: of several nodes' numbers the smallest is the cause.
  package let depth: Int
  /// "the outputs of fc6 are nan".
  package let what: String
  /// The row, if the number stands in the features that were given.
  package let givenRow: Int?
}

extension DenseSlice {
  /// Whether loss and gradients of the pass are finite, after the last training segment; `nil` if
  /// they are.
  ///
  /// The parameters' gradients need not be there: a product of matrices is finite if the bound
  /// `rows * max |gradient| * max |input|` of its sums is. So a node can tell before anything of the
  /// step has left it. What goes beyond the bound is refused though its sums might just fit.
  ///
  /// - Parameter subBatches: how many such gradients are added up.
  package func findNonFinite(subBatches: Int = 1) -> NonFiniteNumber? {
    let width = cut.featureSlices[rank].count
    if let index = UnsafeBufferPointer(start: features, count: rows * width)
      .firstNonFinite
    {
      let row = index / width
      return NonFiniteNumber(
        depth: 0, what: "its features of row \(positions[row]) are \(features[index])",
        givenRow: Int(positions[row]))
    }
    for (index, layer) in layers.enumerated() {
      let outputs = UnsafeBufferPointer(start: layer.output, count: rows * columns(of: layer))
      if let found = outputs.firstNonFinite {
        return number(1 + index, "the outputs of \(layer.cut.name) are \(outputs[found])")
      }
    }
    let loss = 1 + layers.count
    if !lossSum.isFinite { return number(loss, "the loss is \(lossSum)") }
    for (index, layer) in layers.reversed().enumerated() {
      let gradient = UnsafeBufferPointer(
        start: layer.outputGradient, count: rows * columns(of: layer))
      if let found = gradient.firstNonFinite {
        return number(
          loss + 1 + index, "the gradients of \(layer.cut.name)'s outputs are \(gradient[found])")
      }
      let products = gradientBound(layer) * Float(rows) * Float(subBatches)
      guard products.isFinite else {
        return number(
          loss + 1 + layers.count + index,
          "the gradient of \(layer.cut.name)'s weights may be beyond the largest number")
      }
    }
    return nil
  }

  private func number(_ depth: Int, _ what: String) -> NonFiniteNumber {
    NonFiniteNumber(depth: depth, what: what, givenRow: nil)
  }

  /// Of each summand of the layer's gradients. The bias goes with an input of 1.
  private func gradientBound(_ layer: DenseSliceLayer) -> Float {
    guard layer.parameters.weight.count > 0 else { return 0 }
    let width = head(layer)?.sample.count ?? layer.parameters.weight.rows.count
    let gradient = UnsafeBufferPointer(start: layer.productGradient, count: rows * width)
    let input = UnsafeBufferPointer(
      start: layer.productInput, count: rows * layer.parameters.weight.columns.count)
    // Not-a-number first: `max` passes over it.
    return input.largestMagnitude.isNaN
      ? .nan : gradient.largestMagnitude * max(input.largestMagnitude, 1)
  }
}
