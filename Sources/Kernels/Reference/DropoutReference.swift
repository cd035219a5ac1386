package import Network
import Tensors

/// Naive twin of dropout: one word at a time.
package enum DropoutReference {
  /// What each element of `[rows, units]` is multiplied by.
  ///
  /// - Parameters:
  ///   - layer: index in the whole network.
  ///   - positions: each row's position in the global batch.
  package static func factors(
    _ dropout: Dropout, training: Bool, seed: UInt64, step: UInt64, layer: Int,
    positions: [UInt32], units: Int
  ) -> [Double] {
    let rate = Double(dropout.rate)
    guard training else {
      let scale = dropout.scale == .evaluation ? 1 - rate : 1
      return [Double](repeating: scale, count: positions.count * units)
    }
    let stream = RandomStream(
      seed: seed, purpose: .dropout, first: step, second: UInt32(truncatingIfNeeded: layer))
    let survivor = dropout.scale == .training ? 1 / (1 - rate) : 1
    var factors: [Double] = []
    for position in positions {
      for unit in 0..<units {
        let word = stream.word(at: UInt64(unit), lane: position)
        let uniform = (Double(word >> 8) + 0.5) / 16_777_216
        factors.append(uniform < rate ? 0 : survivor)
      }
    }
    return factors
  }
}
