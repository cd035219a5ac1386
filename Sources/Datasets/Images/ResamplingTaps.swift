/// Which input pixels along an axis make each output pixel, and with which weights: a triangle as
/// wide as an output pixel's distance where the picture is reduced, two input pixels wide where it
/// is enlarged.
struct ResamplingTaps {
  /// What the weights follow from: `size` pixels from the middle `side` of `extent`.
  struct Extents: Hashable {
    let extent: Int
    let side: Int
    let size: Int
  }

  /// The first input pixel of each output pixel.
  let first: [Int]
  /// Of every output pixel; the weights beyond its own taps are 0.
  let count: Int
  /// `count` for each output pixel.
  private let weights: [Float]

  /// The input pixels of all output pixels.
  var needed: Range<Int> { first[0]..<first[first.count - 1] + count }

  init(_ extents: Extents) {
    let (extent, size) = (extents.extent, extents.size)
    let scale = Double(extents.side) / Double(size)
    let start = Double(extent - extents.side) / 2
    let support = max(1, scale)
    func center(_ output: Int) -> Double { start + (Double(output) + 0.5) * scale }
    var ranges: [Range<Int>] = []
    for output in 0..<size {
      let low = max(0, Int((center(output) - support + 0.5).rounded(.down)))
      let high = min(extent, Int((center(output) + support + 0.5).rounded(.down)))
      ranges.append(low..<high)
    }
    let count = ranges.reduce(1) { max($0, $1.count) }
    var first: [Int] = []
    var weights: [Float] = []
    weights.reserveCapacity(size * count)
    for (output, range) in ranges.enumerated() {
      let center = center(output)
      // All taps lie in the picture, those without weight too.
      let low = max(0, min(range.lowerBound, extent - count))
      first.append(low)
      var sum = 0.0
      for input in range { sum += Self.triangle(input, center, support) }
      for input in low..<(low + count) {
        let isInside = range.contains(input)
        weights.append(isInside ? Float(Self.triangle(input, center, support) / sum) : 0)
      }
    }
    self.first = first
    self.count = count
    self.weights = weights
  }

  /// The weights of an output pixel as whole numbers that add up to `total`.
  func parts(_ output: Int, of total: Int) -> [UInt16] {
    let own = weights[(output * count)..<((output + 1) * count)]
    // Each rounded by itself they miss the total by half a unit a tap at the most. Of few taps the
    // largest weight bears that: it is four times as much at least. Of many it does not, and those
    // below a half would all be nothing.
    guard 2 * count * count <= total else { return Self.spread(own, over: total) }
    var parts = own.map { UInt16(($0 * Float(total)).rounded()) }
    let rest = total - parts.reduce(0) { $0 + Int($1) }
    let largest = parts.indices.max { parts[$0] < parts[$1] } ?? 0
    parts[largest] = UInt16(Int(parts[largest]) + rest)
    return parts
  }

  /// Rounds the running sum of weights: none is off by more than one unit, no sum of neighbours
  /// either.
  private static func spread(_ weights: ArraySlice<Float>, over total: Int) -> [UInt16] {
    var sum = 0.0
    var given = 0
    return weights.map { weight in
      sum += Double(weight)
      let next = Int((sum * Double(total)).rounded())
      defer { given = next }
      return UInt16(next - given)
    }
  }

  private static func triangle(_ input: Int, _ center: Double, _ support: Double) -> Double {
    max(0, 1 - ((Double(input) + 0.5 - center) / support).magnitude)
  }
}
