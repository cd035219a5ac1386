/// Samples the central square of a picture to a given size, antialiased.
///
/// That is the 2012 paper's "shorter side to 256, then the central 256x256" in one, without the
/// half pixel that rounding the longer side moves the picture by. Pixel centres lie at half
/// integers; the filter is a triangle, as wide as an output pixel's distance where the picture is
/// reduced (Pillow's `BILINEAR`, torch's `interpolate(mode="bilinear", antialias=True)`), and
/// plain bilinear interpolation where it is enlarged. Rows are mixed in 1/256 of a level, columns
/// in 1/128 or finer. Used by one thread.
final class SquareResampler {
  private var rows = Taps()
  private var columns = Taps()
  /// Weights of rows in 1/256, as many for each output row as it has taps.
  private var levels: [UInt16] = []
  /// Weights of columns in 1/32768, each four times, as many for each output pixel as it has taps.
  private var shares: [SIMD4<UInt16>] = []
  /// A row of the picture's needed columns, four values a pixel, after the vertical pass, in
  /// 1/256 of a level.
  private var mixed: [UInt16] = []
  /// A row of the output, in levels.
  private var sampled: [SIMD4<UInt16>] = []

  /// The input pixels of each output pixel, and their weights.
  private struct Taps {
    var first: [Int] = []
    /// Of every output pixel; the weights beyond its own taps are 0.
    var count = 0
    /// `count` for each output pixel.
    var weights: [Float] = []
    private var extents: [Int] = []

    /// The input pixels of all output pixels.
    var needed: Range<Int> { first[0]..<first[first.count - 1] + count }

    /// Weights for `size` pixels from the middle `side` of `extent`.
    ///
    /// - Returns: whether they are others than before.
    mutating func prepare(extent: Int, side: Int, size: Int) -> Bool {
      guard extents != [extent, side, size] else { return false }
      extents = [extent, side, size]
      let scale = Double(side) / Double(size)
      let start = Double(extent - side) / 2
      let support = max(1, scale)
      var ranges: [Range<Int>] = []
      for output in 0..<size {
        let center = start + (Double(output) + 0.5) * scale
        let low = max(0, Int((center - support + 0.5).rounded(.down)))
        let high = min(extent, Int((center + support + 0.5).rounded(.down)))
        ranges.append(low..<high)
      }
      count = ranges.lazy.map(\.count).max() ?? 1
      weights.removeAll(keepingCapacity: true)
      first.removeAll(keepingCapacity: true)
      for output in 0..<size {
        let center = start + (Double(output) + 0.5) * scale
        let range = ranges[output]
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
      return true
    }

    /// The weights of an output pixel as whole numbers that add up to `total`.
    func parts(_ output: Int, of total: Int) -> [UInt16] {
      let own = weights[(output * count)..<((output + 1) * count)]
      var parts = own.map { UInt16(($0 * Float(total)).rounded()) }
      let rest = total - parts.reduce(0) { $0 + Int($1) }
      let largest = parts.indices.max { parts[$0] < parts[$1] } ?? 0
      parts[largest] = UInt16(Int(parts[largest]) + rest)
      return parts
    }

    private static func triangle(_ input: Int, _ center: Double, _ support: Double) -> Double {
      max(0, 1 - ((Double(input) + 0.5 - center) / support).magnitude)
    }
  }

  /// The columns and rows of a picture that `resample` reads.
  func part(width: Int, height: Int, size: Int) -> (columns: Range<Int>, rows: Range<Int>) {
    let side = min(width, height)
    guard !Self.isCopy(width, height, size) else {
      let (left, top) = ((width - side) / 2, (height - side) / 2)
      return (left..<left + side, top..<top + side)
    }
    prepare(width: width, height: height, size: size)
    return (columns.needed, rows.needed)
  }

  /// Whether the middle is taken as it is.
  private static func isCopy(_ width: Int, _ height: Int, _ size: Int) -> Bool {
    let side = min(width, height)
    return side == size && (width - side) % 2 == 0 && (height - side) % 2 == 0
  }

  /// Pictures of one size often follow one another: the weights are kept.
  private func prepare(width: Int, height: Int, size: Int) {
    let side = min(width, height)
    if rows.prepare(extent: height, side: side, size: size) {
      levels = (0..<size).flatMap { rows.parts($0, of: 256) }
    }
    if columns.prepare(extent: width, side: side, size: size) {
      shares = (0..<size).flatMap { x in
        columns.parts(x, of: 1 << 15).map { SIMD4<UInt16>(repeating: $0) }
      }
      mixed = Array(repeating: 0, count: 4 * columns.needed.count)
      sampled = Array(repeating: .zero, count: size)
    }
  }

  /// Writes `size` x `size` pixels, red, green and blue a byte each, turned upright.
  ///
  /// - Parameters:
  ///   - raster: the picture, or at least `part` of it.
  ///   - orientation: the Exif tag, 1 to 8.
  ///   - output: room for `3 * size * size` bytes.
  func resample(
    _ raster: Raster, orientation: Int, size: Int, into output: UnsafeMutablePointer<UInt8>
  ) {
    let needed = part(width: raster.width, height: raster.height, size: size)
    precondition(
      raster.columns.lowerBound <= needed.columns.lowerBound
        && raster.columns.upperBound >= needed.columns.upperBound
        && raster.rows.lowerBound <= needed.rows.lowerBound
        && raster.rows.upperBound >= needed.rows.upperBound,
      "\(needed) of \(raster.columns) and \(raster.rows)")
    let steps = Steps(orientation: orientation, size: size)
    let pitch = raster.columns.count * 4
    let pixels =
      raster.pixels.baseAddress.unsafelyUnwrapped
      + (needed.columns.lowerBound - raster.columns.lowerBound) * 4
    func row(_ number: Int) -> UnsafePointer<UInt8> {
      UnsafePointer(pixels + (number - raster.rows.lowerBound) * pitch)
    }
    guard !Self.isCopy(raster.width, raster.height, size) else {
      for y in 0..<size {
        var from = row(needed.rows.lowerBound + y)
        var to = output + 3 * (steps.origin + y * steps.down)
        for _ in 0..<size {
          to[0] = from[0]
          to[1] = from[1]
          to[2] = from[2]
          from += 4
          to += 3 * steps.right
        }
      }
      return
    }
    // Locals: a property of a class is checked for exclusive access each time it is read.
    let (rows, columns, levels, shares) = (rows, columns, levels, shares)
    mixed.withUnsafeMutableBufferPointer { mixed in
      sampled.withUnsafeMutableBufferPointer { sampled in
        let mixed = mixed.baseAddress.unsafelyUnwrapped
        let sampled = sampled.baseAddress.unsafelyUnwrapped
        for y in 0..<size {
          Self.mixRows(
            row(rows.first[y]), pitch: pitch, count: needed.columns.count * 4,
            levels[(y * rows.count)..<((y + 1) * rows.count)], into: mixed)
          Self.mixColumns(
            mixed - 4 * needed.columns.lowerBound, columns.first, shares, taps: columns.count,
            into: sampled)
          var to = output + 3 * (steps.origin + y * steps.down)
          for x in 0..<size {
            to[0] = UInt8(truncatingIfNeeded: sampled[x].x)
            to[1] = UInt8(truncatingIfNeeded: sampled[x].y)
            to[2] = UInt8(truncatingIfNeeded: sampled[x].z)
            to += 3 * steps.right
          }
        }
      }
    }
  }

  /// The weighted sum of the rows that an output row is made of, in 1/256 of a level.
  ///
  /// In 16 bits: 256 times a level fits, and eight of them are one multiplication.
  private static func mixRows(
    _ pixels: UnsafePointer<UInt8>, pitch: Int, count: Int, _ levels: ArraySlice<UInt16>,
    into mixed: UnsafeMutablePointer<UInt16>
  ) {
    var tap = 0
    while tap < levels.count {
      // Three rows at a time; where there are fewer, a row that weighs nothing.
      func row(_ number: Int) -> (UnsafePointer<UInt8>, UInt16) {
        number < levels.count
          ? (pixels + number * pitch, levels[levels.startIndex + number]) : (pixels, 0)
      }
      let (first, a) = row(tap)
      let (second, b) = row(tap + 1)
      let (third, c) = row(tap + 2)
      if tap == 0 {
        for index in 0..<count {
          mixed[index] =
            a &* UInt16(first[index]) &+ b &* UInt16(second[index]) &+ c &* UInt16(third[index])
        }
      } else {
        for index in 0..<count {
          mixed[index] &+=
            a &* UInt16(first[index]) &+ b &* UInt16(second[index]) &+ c &* UInt16(third[index])
        }
      }
      tap += 3
    }
  }

  /// The weighted sums of a row's pixels, rounded.
  ///
  /// - Parameters:
  ///   - line: the picture's row, from its first column on.
  ///   - first: column of each pixel's first tap.
  private static func mixColumns(
    _ line: UnsafePointer<UInt16>, _ first: [Int], _ weights: [SIMD4<UInt16>], taps: Int,
    into sampled: UnsafeMutablePointer<SIMD4<UInt16>>
  ) {
    weights.withUnsafeBufferPointer { weights in
      var weight = weights.baseAddress.unsafelyUnwrapped
      // Photographs of usual sizes have three, and a number that is known is much faster.
      if taps == 3 {
        for x in first.indices {
          sampled[x] = few(UnsafeRawPointer(line + 4 * first[x]), weight, 3)
          weight += 3
        }
      } else {
        for x in first.indices {
          let from = UnsafeRawPointer(line + 4 * first[x])
          sampled[x] = taps <= fewTaps ? few(from, weight, taps) : many(from, weight, taps)
          weight += taps
        }
      }
    }
  }

  /// So many products may lose what is below 1/128 of a level.
  private static let fewTaps = 4

  /// A pixel in levels, from products cut to 1/128 of a level: a multiplication each.
  @inline(__always)
  private static func few(
    _ from: UnsafeRawPointer, _ weights: UnsafePointer<SIMD4<UInt16>>, _ taps: Int
  ) -> SIMD4<UInt16> {
    // A half, and the half of 1/128 that each product loses on the average.
    var sum = SIMD4<UInt16>(repeating: UInt16(truncatingIfNeeded: 64 + taps / 2))
    for tap in 0..<taps {
      let values = from.loadUnaligned(fromByteOffset: 8 * tap, as: SIMD4<UInt16>.self)
      let product =
        SIMD4<UInt32>(truncatingIfNeeded: values) &* SIMD4<UInt32>(truncatingIfNeeded: weights[tap])
      sum &+= SIMD4<UInt16>(truncatingIfNeeded: product &>> 16)
    }
    return sum &>> 7
  }

  /// A pixel in levels, from whole products.
  private static func many(
    _ from: UnsafeRawPointer, _ weights: UnsafePointer<SIMD4<UInt16>>, _ taps: Int
  ) -> SIMD4<UInt16> {
    var sum = SIMD4<UInt32>(repeating: 1 << 22)
    for tap in 0..<taps {
      let values = from.loadUnaligned(fromByteOffset: 8 * tap, as: SIMD4<UInt16>.self)
      sum &+=
        SIMD4<UInt32>(truncatingIfNeeded: values) &* SIMD4<UInt32>(truncatingIfNeeded: weights[tap])
    }
    return SIMD4<UInt16>(truncatingIfNeeded: sum &>> 23)
  }

  /// Where the pixels of a square go so that it stands upright: pixel (x, y) at
  /// `origin + y * down + x * right`.
  struct Steps {
    let origin: Int
    let right: Int
    let down: Int

    /// - Parameter orientation: the Exif tag, 1 to 8.
    init(orientation: Int, size: Int) {
      let last = size - 1
      let end = size * last
      (origin, right, down) =
        switch orientation {
        case 2: (last, -1, size)
        case 3: (end + last, -1, -size)
        case 4: (end, 1, -size)
        case 5: (0, size, 1)
        case 6: (last, size, -1)
        case 7: (end + last, -size, -1)
        case 8: (end, -size, 1)
        default: (0, 1, size)
        }
    }
  }
}
