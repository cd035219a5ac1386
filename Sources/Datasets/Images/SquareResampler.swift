/// Samples the central square of a picture to a given size, antialiased.
///
/// That is the 2012 paper's "shorter side to 256, then the central 256x256" in one, without the
/// half pixel that rounding the longer side moves the picture by. Pixel centres lie at half
/// integers; the filter is a triangle, as wide as an output pixel's distance where the picture is
/// reduced (Pillow's `BILINEAR`, torch's `interpolate(mode="bilinear", antialias=True)`), and
/// plain bilinear interpolation where it is enlarged. Rows are mixed in 1/256 of a level, columns
/// in 1/128 or finer. Used by one thread.
final class SquareResampler {
  /// Weights in 1/256.
  private var knownRows = KnownAxes<UInt16>()
  /// Weights in 1/32768, each four times.
  private var knownColumns = KnownAxes<SIMD4<UInt16>>()
  /// A row of the picture's needed columns, four values a pixel, after the vertical pass, in
  /// 1/256 of a level.
  private var mixed: [UInt16] = []
  /// A row of the output, in levels.
  private var sampled: [SIMD4<UInt16>] = []

  /// What an axis of a picture needs: which pixels, and their weights as whole numbers.
  private struct Axis<Weight> {
    let taps: ResamplingTaps
    /// As many for each output pixel as it has taps.
    let weights: [Weight]
  }

  /// Weights of the axes of earlier pictures: most are of a few sizes.
  private struct KnownAxes<Weight> {
    private var axes: [ResamplingTaps.Extents: Axis<Weight>] = [:]
    /// Some megabytes at the most.
    private static var most: Int { 64 }

    mutating func axis(
      _ extents: ResamplingTaps.Extents, weights: (ResamplingTaps) -> [Weight]
    ) -> Axis<Weight> {
      if let known = axes[extents] { return known }
      if axes.count >= Self.most { axes.removeAll() }
      let taps = ResamplingTaps(extents)
      let axis = Axis(taps: taps, weights: weights(taps))
      axes[extents] = axis
      return axis
    }
  }

  /// The columns and rows of a picture that `resample` reads.
  func part(width: Int, height: Int, size: Int) -> (columns: Range<Int>, rows: Range<Int>) {
    let side = min(width, height)
    guard !Self.isCopy(width, height, size) else {
      let (left, top) = ((width - side) / 2, (height - side) / 2)
      return (left..<left + side, top..<top + side)
    }
    return (
      columns(width, side: side, size: size).taps.needed,
      rows(height, side: side, size: size).taps.needed
    )
  }

  /// Whether the middle is taken as it is.
  private static func isCopy(_ width: Int, _ height: Int, _ size: Int) -> Bool {
    let side = min(width, height)
    return side == size && (width - side) % 2 == 0 && (height - side) % 2 == 0
  }

  private func rows(_ extent: Int, side: Int, size: Int) -> Axis<UInt16> {
    knownRows.axis(.init(extent: extent, side: side, size: size)) { taps in
      (0..<size).flatMap { taps.parts($0, of: 256) }
    }
  }

  private func columns(_ extent: Int, side: Int, size: Int) -> Axis<SIMD4<UInt16>> {
    knownColumns.axis(.init(extent: extent, side: side, size: size)) { taps in
      (0..<size).flatMap { x in
        taps.parts(x, of: 1 << 15).map { SIMD4<UInt16>(repeating: $0) }
      }
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
    let side = min(raster.width, raster.height)
    let rows = rows(raster.height, side: side, size: size)
    let columns = columns(raster.width, side: side, size: size)
    let taps = rows.taps.count
    if mixed.count < 4 * needed.columns.count {
      mixed = Array(repeating: 0, count: 4 * needed.columns.count)
    }
    if sampled.count < size { sampled = Array(repeating: .zero, count: size) }
    mixed.withUnsafeMutableBufferPointer { mixed in
      sampled.withUnsafeMutableBufferPointer { sampled in
        let mixed = mixed.baseAddress.unsafelyUnwrapped
        let sampled = sampled.baseAddress.unsafelyUnwrapped
        for y in 0..<size {
          Self.mixRows(
            row(rows.taps.first[y]), pitch: pitch, count: needed.columns.count * 4,
            rows.weights[(y * taps)..<((y + 1) * taps)], into: mixed)
          Self.mixColumns(
            mixed - 4 * needed.columns.lowerBound, columns.taps.first, columns.weights,
            taps: columns.taps.count, into: sampled)
          Self.store(
            sampled, count: size, to: output + 3 * (steps.origin + y * steps.down),
            step: 3 * steps.right)
        }
      }
    }
  }

  /// Writes pixels as three bytes each, `step` bytes from one to the next.
  private static func store(
    _ pixels: UnsafePointer<SIMD4<UInt16>>, count: Int, to first: UnsafeMutablePointer<UInt8>,
    step: Int
  ) {
    var to = first
    var next = 0
    if step == 3 {
      // Four bytes at once: the fourth is the next pixel's, which is written after it.
      while next < count - 1 {
        UnsafeMutableRawPointer(to).storeBytes(
          of: unsafeBitCast(SIMD4<UInt8>(truncatingIfNeeded: pixels[next]), to: UInt32.self),
          as: UInt32.self)
        to += 3
        next += 1
      }
    }
    while next < count {
      to[0] = UInt8(truncatingIfNeeded: pixels[next].x)
      to[1] = UInt8(truncatingIfNeeded: pixels[next].y)
      to[2] = UInt8(truncatingIfNeeded: pixels[next].z)
      to += step
      next += 1
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
