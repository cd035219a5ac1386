import Network
import Tensors

/// The mask of one dropout layer on one slice: which units survive.
///
/// Row `r`, unit `u` looks at word `u % 4` of position `u / 4` in lane `position(r)` of the stream
/// (seed, step, layer): a function of the run, never of the cut or of who draws it. A unit is
/// dropped when the uniform number of its word is below the rate.
///
/// The mask is kept as bytes, and backward reads it again instead of drawing.
final class DropoutMask {
  private let dropout: Dropout
  private let units: Range<Int>
  private let rows: Int
  private let bytes: AlignedBuffer
  /// Words below this drop their unit.
  private let threshold: UInt32

  /// - Parameters:
  ///   - units: the slice, in units of the whole layer.
  ///   - rows: rows of the batch.
  init(_ dropout: Dropout, units: Range<Int>, rows: Int) {
    self.dropout = dropout
    self.units = units
    self.rows = rows
    bytes = AlignedBuffer(byteCount: rows * units.count)
    // uniform(word) = (word >> 9 + 0.5) / 2^23 < rate, solved for the word.
    let below = (Double(dropout.rate) * 0x1p23 - 0.5).rounded(.up)
    threshold = UInt32(max(below, 0)) << 9
  }

  /// What a surviving unit is multiplied by in training.
  var trainingScale: Float { dropout.scale == .training ? 1 / (1 - dropout.rate) : 1 }
  /// What every unit is multiplied by at evaluation.
  var evaluationScale: Float { dropout.scale == .training ? 1 : 1 - dropout.rate }

  /// Draws the masks of all rows.
  ///
  /// - Parameter positions: each row's position in the global batch.
  func draw(_ stream: RandomStream, positions: UnsafePointer<UInt32>) {
    var target = bytes.bytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self)
    for row in 0..<rows {
      var unit = units.lowerBound
      while unit < units.upperBound {
        // Four units a call, cut at multiples of four of the whole layer.
        let words = stream.words(UInt64(unit / 4), positions[row])
        let end = min((unit / 4 + 1) * 4, units.upperBound)
        while unit < end {
          target.pointee = words[unit % 4] < threshold ? 0 : 1
          target += 1
          unit += 1
        }
      }
    }
  }

  /// `output = kept ? input * scale : 0`, also in place: forward of activations, backward of
  /// gradients.
  func apply(_ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>) {
    let scale = trainingScale
    let mask = bytes.bytes
    for index in 0..<(rows * units.count) {
      output[index] = mask[index] != 0 ? input[index] * scale : 0
    }
  }
}
