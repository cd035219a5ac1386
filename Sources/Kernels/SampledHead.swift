import Network
import Tensors

/// A last layer whose training passes multiply only the rows of its weights that are in the sample:
/// these lie together in memory of their own while a pass needs them.
final class SampledHead {
  /// Whose rows.
  let sample: ClassSample
  private let inputs: Int
  /// `[sample, inputs]`: the weights in the sample; after the pass, the gradients of these.
  private var matrix: AlignedBuffer
  /// `[sample]`.
  private var biases: AlignedBuffer

  /// Plans the memory for six deviations more than the sample is expected to have; the one step in
  /// a thousand million that draws more allocates.
  init(own: Range<Int>, rate: Float, inputs: Int, rows: Int, seed: UInt64) {
    sample = ClassSample(own: own, rate: rate, seed: seed)
    self.inputs = inputs
    let mean = Double(rate) * Double(own.count)
    let capacity = min(own.count, Int(mean + 6 * mean.squareRoot()) + rows + 1)
    matrix = AlignedBuffer(floats: capacity * inputs)
    biases = AlignedBuffer(floats: capacity)
  }

  /// `[sample, inputs]`.
  var rows: UnsafeMutablePointer<Float> { matrix.floatPointer }
  /// `[sample]`.
  var bias: UnsafeMutablePointer<Float> { biases.floatPointer }

  /// Puts the sample's weights and biases together.
  func gather(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>) {
    if sample.count > biases.floats.count || sample.count * inputs > matrix.floats.count {
      matrix = AlignedBuffer(floats: sample.count * inputs)
      biases = AlignedBuffer(floats: sample.count)
    }
    for (place, index) in sample.indices.enumerated() {
      (rows + place * inputs).update(from: weight + Int(index) * inputs, count: inputs)
      self.bias[place] = bias[Int(index)]
    }
  }

  /// Adds gradients of the sample's rows, which lie in `rows` and `bias`, to those of all rows.
  func scatter(into layer: DenseLayerParameters) {
    for (place, index) in sample.indices.enumerated() {
      let row = Int(index)
      layer.active?.insert(row)
      DenseVector.add(
        rows + place * inputs, to: layer.weight.gradient + row * inputs, count: inputs)
      layer.bias.gradient[row] += bias[place]
    }
  }
}
