/// Samples the central square of a picture to a given size, antialiased.
///
/// That is the 2012 paper's "shorter side to 256, then the central 256x256" in one, without the
/// half pixel that rounding the longer side moves the picture by. Pixel centres lie at half
/// integers; the filter is a triangle, as wide as an output pixel's distance where the picture is
/// reduced (Pillow's `BILINEAR`, torch's `interpolate(mode="bilinear", antialias=True)`), and
/// plain bilinear interpolation where it is enlarged. Used by one thread.
final class SquareResampler {
  private var rows = Taps()
  private var columns = Taps()
  /// A row of the picture's needed columns, four values a pixel, after the vertical pass, in
  /// 1/256 of a level.
  private var mixed: [UInt16] = []
  private var line: [SIMD4<Float>] = []

  /// The input pixels of each output pixel, and their weights.
  private struct Taps {
    var first: [Int] = []
    /// Of every output pixel; the weights beyond its own taps are 0.
    var count = 0
    /// `count` for each output pixel.
    var weights: [Float] = []

    /// Weights for `size` pixels from the middle `side` of `extent`.
    mutating func prepare(extent: Int, side: Int, size: Int) {
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
    }

    /// The weights of an output pixel in 1/256, which add up to 256.
    func levels(_ output: Int, into levels: inout [UInt16]) {
      let own = weights[(output * count)..<((output + 1) * count)]
      levels.removeAll(keepingCapacity: true)
      for weight in own { levels.append(UInt16((weight * 256).rounded())) }
      let rest = 256 - levels.reduce(0) { $0 + Int($1) }
      let largest = levels.indices.max { levels[$0] < levels[$1] } ?? 0
      levels[largest] = UInt16(Int(levels[largest]) + rest)
    }

    private static func triangle(_ input: Int, _ center: Double, _ support: Double) -> Double {
      max(0, 1 - ((Double(input) + 0.5 - center) / support).magnitude)
    }
  }

  /// Writes `size` x `size` pixels, red, green and blue a byte each, turned upright.
  ///
  /// - Parameters:
  ///   - orientation: the Exif tag, 1 to 8.
  ///   - output: room for `3 * size * size` bytes.
  func resample(
    _ raster: Raster, orientation: Int, size: Int, into output: UnsafeMutablePointer<UInt8>
  ) {
    let side = min(raster.width, raster.height)
    let steps = Steps(orientation: orientation, size: size)
    let pixels = raster.pixels.baseAddress.unsafelyUnwrapped
    guard side != size || (raster.width - side) % 2 != 0 || (raster.height - side) % 2 != 0 else {
      let left = (raster.width - size) / 2
      let top = (raster.height - size) / 2
      for y in 0..<size {
        var from = pixels + ((top + y) * raster.width + left) * 4
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
    rows.prepare(extent: raster.height, side: side, size: size)
    columns.prepare(extent: raster.width, side: side, size: size)
    // Locals: a property of a class is checked for exclusive access each time it is read.
    let (rows, columns) = (rows, columns)
    let left = columns.first[0]
    let needed = columns.first[size - 1] + columns.count - left
    if line.count < needed {
      line = Array(repeating: .zero, count: needed)
      mixed = Array(repeating: 0, count: 4 * needed)
    }
    let pitch = raster.width * 4
    var levels: [UInt16] = []
    mixed.withUnsafeMutableBufferPointer { mixed in
      line.withUnsafeMutableBufferPointer { line in
        let line = line.baseAddress.unsafelyUnwrapped
        let mixed = mixed.baseAddress.unsafelyUnwrapped
        for y in 0..<size {
          rows.levels(y, into: &levels)
          Self.mixRows(
            pixels + left * 4 + rows.first[y] * pitch, pitch: pitch, count: needed * 4, levels,
            through: mixed, into: line)
          Self.mixColumns(
            line - left, columns, size: size, step: 3 * steps.right,
            into: output + 3 * (steps.origin + y * steps.down))
        }
      }
    }
  }

  /// The weighted sum of the rows that an output row is made of, in grey levels.
  ///
  /// In 16 bits: 256 times a level fits, and eight of them are one multiplication.
  private static func mixRows(
    _ pixels: UnsafePointer<UInt8>, pitch: Int, count: Int, _ levels: [UInt16],
    through mixed: UnsafeMutablePointer<UInt16>, into line: UnsafeMutablePointer<SIMD4<Float>>
  ) {
    var tap = 0
    while tap < levels.count {
      // Three rows at a time; where there are fewer, a row that weighs nothing.
      func row(_ number: Int) -> (UnsafePointer<UInt8>, UInt16) {
        number < levels.count ? (pixels + number * pitch, levels[number]) : (pixels, 0)
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
    line.withMemoryRebound(to: Float.self, capacity: count) { values in
      for index in 0..<count { values[index] = Float(mixed[index]) * 0x1p-8 }
    }
  }

  /// The weighted sums of a row's pixels, rounded.
  private static func mixColumns(
    _ line: UnsafePointer<SIMD4<Float>>, _ taps: Taps, size: Int, step: Int,
    into output: UnsafeMutablePointer<UInt8>
  ) {
    taps.weights.withUnsafeBufferPointer { weights in
      taps.first.withUnsafeBufferPointer { first in
        var weight = weights.baseAddress.unsafelyUnwrapped
        var to = output
        let count = taps.count
        for x in 0..<size {
          let from = line + first[x]
          // Added to 2^23 a level is rounded to the last bit of the significand: no conversion.
          var sum = weight[0] * from[0]
          if count == 3 {
            sum += weight[1] * from[1]
            sum += weight[2] * from[2]
          } else {
            for tap in 1..<max(count, 1) { sum += weight[tap] * from[tap] }
          }
          let bits = unsafeBitCast(sum + 0x1p23, to: SIMD4<UInt32>.self)
          to[0] = UInt8(truncatingIfNeeded: bits.x)
          to[1] = UInt8(truncatingIfNeeded: bits.y)
          to[2] = UInt8(truncatingIfNeeded: bits.z)
          weight += count
          to += step
        }
      }
    }
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
