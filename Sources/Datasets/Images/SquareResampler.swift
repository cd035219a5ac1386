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
  /// A line of the picture's needed columns, four floats a pixel, after the vertical pass.
  private var line: [SIMD4<Float>] = []

  /// The input pixels of each output pixel, and their weights.
  private struct Taps {
    var first: [Int] = []
    var count: [Int] = []
    /// `stride` for each output pixel.
    var weights: [Float] = []
    var stride = 0

    /// Weights for `size` pixels from the middle `side` of `extent`.
    mutating func prepare(extent: Int, side: Int, size: Int) {
      let scale = Double(side) / Double(size)
      let start = Double(extent - side) / 2
      let support = max(1, scale)
      stride = Int(support.rounded(.up)) * 2 + 1
      first.removeAll(keepingCapacity: true)
      count.removeAll(keepingCapacity: true)
      weights.removeAll(keepingCapacity: true)
      for output in 0..<size {
        let center = start + (Double(output) + 0.5) * scale
        let low = max(0, Int((center - support + 0.5).rounded(.down)))
        let high = min(extent, Int((center + support + 0.5).rounded(.down)))
        var sum = 0.0
        for input in low..<high { sum += Self.triangle(input, center, support) }
        first.append(low)
        count.append(high - low)
        for tap in 0..<stride {
          let weight = low + tap < high ? Self.triangle(low + tap, center, support) / sum : 0
          weights.append(Float(weight))
        }
      }
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
    let pixels = raster.pixels
    guard side != size || (raster.width - side) % 2 != 0 || (raster.height - side) % 2 != 0 else {
      let left = (raster.width - size) / 2
      let top = (raster.height - size) / 2
      for y in 0..<size {
        for x in 0..<size {
          let from = ((top + y) * raster.width + left + x) * 4
          let to = (steps.origin + y * steps.down + x * steps.right) * 3
          for channel in 0..<3 { output[to + channel] = pixels[from + channel] }
        }
      }
      return
    }
    rows.prepare(extent: raster.height, side: side, size: size)
    columns.prepare(extent: raster.width, side: side, size: size)
    // Locals: a property of a class is checked for exclusive access each time it is read.
    let (rows, columns) = (rows, columns)
    let left = columns.first[0]
    let needed = columns.first[size - 1] + columns.count[size - 1] - left
    if line.count < needed { line = Array(repeating: .zero, count: needed) }
    let base = pixels.baseAddress.unsafelyUnwrapped + left * 4
    line.withUnsafeMutableBufferPointer { line in
      let line = line.baseAddress.unsafelyUnwrapped
      for y in 0..<size {
        Self.mixRows(
          base + rows.first[y] * raster.width * 4, pitch: raster.width * 4, count: needed * 4,
          rows, y, into: line)
        Self.mixColumns(
          line - left, columns, size: size, step: 3 * steps.right,
          into: output + 3 * (steps.origin + y * steps.down))
      }
    }
  }

  /// The weighted sum of the rows that an output row is made of.
  private static func mixRows(
    _ pixels: UnsafePointer<UInt8>, pitch: Int, count: Int, _ taps: Taps, _ y: Int,
    into line: UnsafeMutablePointer<SIMD4<Float>>
  ) {
    line.withMemoryRebound(to: Float.self, capacity: count) { values in
      for tap in 0..<taps.count[y] {
        let weight = taps.weights[y * taps.stride + tap]
        let row = pixels + tap * pitch
        if tap == 0 {
          for index in 0..<count { values[index] = weight * Float(row[index]) }
        } else {
          for index in 0..<count { values[index] += weight * Float(row[index]) }
        }
      }
    }
  }

  /// The weighted sums of a row's pixels, rounded.
  private static func mixColumns(
    _ line: UnsafePointer<SIMD4<Float>>, _ taps: Taps, size: Int, step: Int,
    into output: UnsafeMutablePointer<UInt8>
  ) {
    taps.weights.withUnsafeBufferPointer { weights in
      taps.first.withUnsafeBufferPointer { first in
        taps.count.withUnsafeBufferPointer { count in
          var to = output
          for x in 0..<size {
            var sum = SIMD4<Float>(repeating: 0.5)
            let from = line + first[x]
            let weight = weights.baseAddress.unsafelyUnwrapped + x * taps.stride
            for tap in 0..<count[x] { sum += weight[tap] * from[tap] }
            // Weights add up to 1 but for their rounding: no sum reaches 256.
            to[0] = UInt8(truncatingIfNeeded: Int32(sum.x))
            to[1] = UInt8(truncatingIfNeeded: Int32(sum.y))
            to[2] = UInt8(truncatingIfNeeded: Int32(sum.z))
            to += step
          }
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
