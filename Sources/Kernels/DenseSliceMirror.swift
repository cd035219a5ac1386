import Network
package import Tensors

/// A slice kept by two nodes: the gradients of one made on another that has a slice of the same cut.
///
/// The gradient of a layer's weights is a product of its inputs and of the gradients of its outputs.
/// Of the two a layer that gathers its inputs has these whole, one that scatters its outputs has
/// their gradients whole - on every node. Only the other factor is the node's own, and that is a
/// slice of an activation: far less than the gradient.
extension DenseSlice {
  /// The own factors of the gradients, layer by layer, after the last training segment: what
  /// another node's `takeGradientFactors` needs.
  package func gradientFactors(_ pool: FramePool) -> [Frame] {
    layers.flatMap { layer in
      let columns = (layer.gathers ? layer.outputs : layer.inputs).count
      return DensePayload(
        source: layer.gathers ? UnsafePointer(layer.outputGradient) : layer.input, rows: rows,
        columns: columns, stride: columns
      ).frames(pool)
    }
  }

  /// Makes this slice as if it had run the pass that `own`, of another rank, has just run: its
  /// gradients can be computed, and nothing else is right.
  ///
  /// - Parameter received: `gradientFactors` of this slice's rank, of as many bytes as
  ///   `DenseCut.mirroredColumns` says.
  package func takeGradientFactors(_ received: [Frame], besides own: DenseSlice) {
    precondition(sampled == nil && rows == own.rows && cut.nodes > 1, "not a mirror of this cut")
    pass = own.pass
    nextSegment = cut.segmentCount(training: true)
    var rest = received.map(\.bytes)[...]
    precondition(
      rest.allSatisfy { $0.count % MemoryLayout<Float>.stride == 0 }, "frames of broken floats")
    for (layer, common) in zip(layers, own.layers) {
      defer { layer.products?.takeFactors(layer.productGradient, layer.productInput) }
      guard let gathered = layer.gathered, let shared = common.gathered else { continue }
      let width = layer.gathers ? layer.cut.inputs : layer.cut.outputs
      gathered.update(from: shared, count: rows * width)
      let columns = (layer.gathers ? layer.outputs : layer.inputs).count
      // Where the layer has no elementwise layers before it, its inputs are the layer's before.
      let target =
        layer.gathers ? layer.outputGradient : UnsafeMutablePointer(mutating: layer.input)
      Self.copy(rows * columns, from: &rest, to: target)
      guard !layer.gathers else { continue }
      let outputs = layer.outputs
      for row in 0..<rows {
        (layer.outputGradient + row * outputs.count).update(
          from: gathered + row * width + outputs.lowerBound, count: outputs.count)
      }
    }
  }

  /// Takes the next so many floats, however they were cut into frames.
  private static func copy(
    _ count: Int, from frames: inout ArraySlice<UnsafeRawBufferPointer>,
    to target: UnsafeMutablePointer<Float>
  ) {
    var done = 0
    while done < count, let frame = frames.popFirst() {
      let floats = min(frame.count / MemoryLayout<Float>.stride, count - done)
      if let address = frame.baseAddress {
        DenseVector.copy(address, to: target + done, count: floats)
      }
      done += floats
      let rest = frame.dropFirst(floats * MemoryLayout<Float>.stride)
      if !rest.isEmpty { frames = [UnsafeRawBufferPointer(rebasing: rest)] + frames }
    }
    precondition(done == count, "\(count - done) floats are missing")
  }
}
