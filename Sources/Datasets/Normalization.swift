import Tensors

/// What turns grey levels into what the network sees: `(x / 255 - mean) / standardDeviation`, by
/// channel.
package struct Normalization: Hashable, Sendable {
  /// On the scale 0...1, one for each channel.
  package let mean: [Float]
  /// On the scale 0...1, one for each channel, above 0.
  package let standardDeviation: [Float]

  /// - Parameters:
  ///   - mean: one for each channel.
  ///   - standardDeviation: one for each channel, above 0.
  package init(mean: [Float], standardDeviation: [Float]) {
    precondition(
      mean.count == standardDeviation.count && standardDeviation.allSatisfy { $0 > 0 },
      "normalization with means \(mean) and standard deviations \(standardDeviation)")
    self.mean = mean
    self.standardDeviation = standardDeviation
  }

  /// Only x / 255: the network sees 0...1.
  package static func none(channels: Int) -> Normalization {
    Normalization(
      mean: Array(repeating: 0, count: channels),
      standardDeviation: Array(repeating: 1, count: channels))
  }

  /// Mean and population standard deviation of each channel over all examples of `source`.
  ///
  /// The same on every machine: the sums are 64-bit floats, exact for whole grey levels (up to
  /// 1.4e11 pixels a channel), and run in one order in any case. A constant channel gets
  /// standard deviation 1. Reads the whole source once.
  package static func measured(
    over source: any ExampleSource
  ) throws(DatasetError) -> Normalization {
    let channels = source.shape[0]
    let plane = source.shape.count / channels
    let pixels = UnsafeMutableBufferPointer<Float>.allocate(capacity: source.shape.count)
    defer { pixels.deallocate() }
    pixels.initialize(repeating: 0)
    var sums = [Double](repeating: 0, count: channels)
    var squares = [Double](repeating: 0, count: channels)
    for index in 0..<source.count {
      try source.write(index, into: pixels.baseAddress.unsafelyUnwrapped)
      for channel in 0..<channels {
        let (sum, square) = moments(
          UnsafeBufferPointer(rebasing: pixels[(channel * plane)..<((channel + 1) * plane)]))
        sums[channel] += sum
        squares[channel] += square
      }
    }
    let total = Double(source.count) * Double(plane)
    var means: [Float] = []
    var deviations: [Float] = []
    for channel in 0..<channels {
      let mean = sums[channel] / total
      let variance = max(0, squares[channel] / total - mean * mean)
      means.append(Float(mean / 255))
      let deviation = Float(variance.squareRoot() / 255)
      deviations.append(deviation > 0 ? deviation : 1)
    }
    return Normalization(mean: means, standardDeviation: deviations)
  }

  /// Normalizes one example in place.
  ///
  /// - Parameters:
  ///   - image: `[C, H, W]` floats on the scale 0...255.
  ///   - plane: H x W.
  @inline(__always)
  package func apply(to image: UnsafeMutablePointer<Float>, plane: Int) {
    for channel in 0..<mean.count {
      let scale = 1 / (255 * standardDeviation[channel])
      let offset = -mean[channel] / standardDeviation[channel]
      let values = image + channel * plane
      for pixel in 0..<plane { values[pixel] = values[pixel] * scale + offset }
    }
  }

  /// Sum and sum of squares in eight lanes, which the compiler may not make of a plain sum.
  private static func moments(_ values: UnsafeBufferPointer<Float>) -> (Double, Double) {
    var sum = SIMD8<Double>()
    var square = SIMD8<Double>()
    let whole = values.count & ~7
    var index = 0
    while index < whole {
      var lanes = SIMD8<Float>()
      for lane in 0..<8 { lanes[lane] = values[index + lane] }
      let wide = SIMD8<Double>(lanes)
      sum += wide
      square += wide * wide
      index += 8
    }
    var totals = (sum.sum(), square.sum())
    for index in whole..<values.count {
      let value = Double(values[index])
      totals.0 += value
      totals.1 += value * value
    }
    return totals
  }
}
