package import Tensors

/// What training wants to know of all pixels of a training set, on the scale of grey levels, 0 to
/// 255.
package struct ImageStatistics: Hashable, Sendable {
  /// `[C, H, W]` of an example.
  package let shape: Shape
  /// How many examples were looked at.
  package let examples: Int
  /// Mean of each pixel, `[C, H, W]`: the 2012 paper's mean image.
  package let pixelMean: [Float]
  /// Mean of each channel.
  package let channelMean: [Double]
  /// Population standard deviation of each channel.
  package let channelDeviation: [Double]
  /// Principal components of RGB; `nil` unless there are three channels.
  package let colors: ColorComponents?

  package init(
    shape: Shape, examples: Int, pixelMean: [Float], channelMean: [Double],
    channelDeviation: [Double], colors: ColorComponents?
  ) {
    self.shape = shape
    self.examples = examples
    self.pixelMean = pixelMean
    self.channelMean = channelMean
    self.channelDeviation = channelDeviation
    self.colors = colors
  }

  /// Looks at a source's examples.
  ///
  /// The same on every machine: sums of whole grey levels are exact in 64-bit floats (up to 1.4e11
  /// pixels a channel).
  ///
  /// Those that cannot be read are left out.
  ///
  /// - Parameter most: where there are more, so many are taken, evenly spaced.
  /// - Throws: `DatasetError` if none can be read, or one for want of this machine.
  package static func measured(
    over source: any ExampleSource, most: Int = .max
  ) throws(DatasetError) -> ImageStatistics {
    var sums = PixelSums(shape: source.shape)
    let pixels = UnsafeMutableBufferPointer<Float>.allocate(capacity: source.shape.count)
    defer { pixels.deallocate() }
    pixels.initialize(repeating: 0)
    let samples = min(source.count, most)
    var failure: DatasetError?
    for sample in 0..<samples {
      let index = samples == source.count ? sample : sample * source.count / samples
      do throws(DatasetError) {
        try source.write(index, into: pixels.baseAddress.unsafelyUnwrapped)
      } catch {
        if error.isOfMachine { throw error }
        failure = failure ?? error
        continue
      }
      sums.add(UnsafeBufferPointer(pixels))
    }
    if sums.examples == 0, let failure { throw failure }
    return sums.statistics
  }
}

/// Sums over the pixels of many examples, from which their statistics follow.
///
/// Sums of whole grey levels are exact, so they do not depend on the order of the examples.
package struct PixelSums: Hashable, Sendable {
  package let shape: Shape
  package private(set) var examples = 0
  /// Of each pixel, `[C, H, W]`.
  package private(set) var values: [Double]
  /// Of the products of two channels, `[C, C]`, the upper triangle.
  package private(set) var products: [Double]

  /// No examples yet.
  ///
  /// - Parameter shape: `[C, H, W]` of an example.
  package init(shape: Shape) {
    self.shape = shape
    values = Array(repeating: 0, count: shape.count)
    products = Array(repeating: 0, count: shape[0] * shape[0])
  }

  /// Sums that were kept.
  package init(shape: Shape, examples: Int, values: [Double], products: [Double]) {
    precondition(
      values.count == shape.count && products.count == shape[0] * shape[0],
      "\(values.count) and \(products.count) sums of \(shape)")
    self.shape = shape
    self.examples = examples
    self.values = values
    self.products = products
  }

  /// Adds an example, `[C, H, W]` on the scale 0...255.
  package mutating func add(_ image: UnsafeBufferPointer<Float>) {
    precondition(image.count == shape.count, "\(image.count) values of \(shape)")
    examples += 1
    values.withUnsafeMutableBufferPointer { values in
      for index in 0..<values.count { values[index] += Double(image[index]) }
    }
    let channels = shape[0]
    let plane = shape.count / channels
    for first in 0..<channels {
      for second in first..<channels {
        products[first * channels + second] += Self.product(
          UnsafeBufferPointer(rebasing: image[(first * plane)..<((first + 1) * plane)]),
          UnsafeBufferPointer(rebasing: image[(second * plane)..<((second + 1) * plane)]))
      }
    }
  }

  /// Adds examples whose pixels were added up elsewhere.
  ///
  /// - Parameters:
  ///   - count: how many.
  ///   - pixels: sums of each byte, `[H, W, C]`.
  ///   - added: sums of products of two channels.
  mutating func add(count: Int, pixels: [UInt32], products added: [Double]) {
    precondition(
      pixels.count == shape.count && added.count == products.count,
      "\(pixels.count) values of \(shape)")
    examples += count
    let channels = shape[0]
    let plane = shape.count / channels
    for channel in 0..<channels {
      for pixel in 0..<plane {
        values[channel * plane + pixel] += Double(pixels[pixel * channels + channel])
      }
    }
    for index in products.indices { products[index] += added[index] }
  }

  /// Sums of the products of two channels over `[H, W, C]` bytes, `[C, C]`, the upper triangle.
  static func products(_ pixels: UnsafeBufferPointer<UInt8>, channels: Int) -> [Double] {
    guard channels == 3 else {
      precondition(channels == 1, "\(channels) channels")
      return [Double(pixels.reduce(UInt64(0)) { $0 + UInt64($1) * UInt64($1) })]
    }
    var totals = [UInt64](repeating: 0, count: 9)
    let bytes = UnsafeRawBufferPointer(pixels)
    let count = pixels.count / 3
    var start = 0
    while start < count {
      // So many products of two levels fit 32 bits, in which the processor is quickest.
      let end = min(start + (1 << 15), count)
      // Red, green and blue with themselves; with green, blue and red. Fourth comes what is next.
      var squares = SIMD4<UInt32>()
      var mixed = SIMD4<UInt32>()
      func add(_ levels: SIMD4<UInt8>) {
        let one = SIMD4<UInt32>(truncatingIfNeeded: levels)
        squares &+= one &* one
        mixed &+= one &* SIMD4(one.y, one.z, one.x, one.w)
      }
      for pixel in start..<min(end, count - 1) {
        let four = bytes.loadUnaligned(fromByteOffset: 3 * pixel, as: UInt32.self)
        add(unsafeBitCast(four, to: SIMD4<UInt8>.self))
      }
      if end == count {
        add(SIMD4(pixels[3 * count - 3], pixels[3 * count - 2], pixels[3 * count - 1], 0))
      }
      for (index, sum) in [
        (0, squares.x), (1, mixed.x), (2, mixed.z), (4, squares.y), (5, mixed.y), (8, squares.z),
      ] {
        totals[index] += UInt64(sum)
      }
      start = end
    }
    return totals.map { Double($0) }
  }

  /// What follows from the sums of at least one example.
  package var statistics: ImageStatistics {
    precondition(examples > 0, "statistics of no example")
    let channels = shape[0]
    let plane = shape.count / channels
    let total = Double(examples) * Double(plane)
    let means = (0..<channels).map { channel in
      values[(channel * plane)..<((channel + 1) * plane)].reduce(0, +) / total
    }
    func covariance(_ first: Int, _ second: Int) -> Double {
      products[min(first, second) * channels + max(first, second)] / total
        - means[first] * means[second]
    }
    return ImageStatistics(
      shape: shape, examples: examples, pixelMean: values.map { Float($0 / Double(examples)) },
      channelMean: means,
      channelDeviation: (0..<channels).map { max(0, covariance($0, $0)).squareRoot() },
      colors: channels == 3
        ? ColorComponents(
          covariance: (0..<3).map { row in SIMD3((0..<3).map { covariance(row, $0) }) }) : nil)
  }

  /// A sum of products in eight lanes, which the compiler may not make of a plain sum.
  private static func product(
    _ left: UnsafeBufferPointer<Float>, _ right: UnsafeBufferPointer<Float>
  ) -> Double {
    var sum = SIMD8<Double>()
    let whole = left.count & ~7
    var index = 0
    while index < whole {
      var first = SIMD8<Float>()
      var second = SIMD8<Float>()
      for lane in 0..<8 {
        first[lane] = left[index + lane]
        second[lane] = right[index + lane]
      }
      // A product of two grey levels is exact in 32 bits too.
      sum += SIMD8<Double>(first * second)
      index += 8
    }
    var total = sum.sum()
    for index in whole..<left.count { total += Double(left[index]) * Double(right[index]) }
    return total
  }
}

/// The principal components of the RGB values of a training set (2012 paper, section 4.1).
package struct ColorComponents: Hashable, Sendable {
  /// Variances along the components, in squared grey levels, the largest first.
  package let variances: [Double]
  /// Unit vectors (red, green, blue), in the order of `variances`; the largest entry of each is
  /// positive.
  package let directions: [SIMD3<Double>]

  /// Components that were kept.
  package init(variances: [Double], directions: [SIMD3<Double>]) {
    precondition(
      variances.count == 3 && directions.count == 3,
      "\(variances.count) variances of \(directions.count) components")
    self.variances = variances
    self.directions = directions
  }

  /// Eigenvalues and eigenvectors of a symmetric matrix, by Jacobi's rotations.
  ///
  /// - Parameter covariance: three rows.
  package init(covariance: [SIMD3<Double>]) {
    precondition(covariance.count == 3, "a covariance of \(covariance.count) rows")
    var matrix = covariance
    var vectors: [SIMD3<Double>] = [.init(1, 0, 0), .init(0, 1, 0), .init(0, 0, 1)]
    // Each sweep squares what is off the diagonal; six are enough for 64 bits, and sixty for all.
    for _ in 0..<60 {
      for (p, q) in [(0, 1), (0, 2), (1, 2)] where matrix[p][q] != 0 {
        Self.rotate(&matrix, &vectors, p, q)
      }
    }
    let order = (0..<3).sorted { (matrix[$0][$0], $1) > (matrix[$1][$1], $0) }
    variances = order.map { max(0, matrix[$0][$0]) }
    directions = order.map { column in
      let vector = SIMD3(vectors[0][column], vectors[1][column], vectors[2][column])
      let largest = (0..<3).max { vector[$0].magnitude < vector[$1].magnitude } ?? 0
      return vector[largest] < 0 ? -vector : vector
    }
  }

  /// Makes element (p, q) zero.
  private static func rotate(
    _ matrix: inout [SIMD3<Double>], _ vectors: inout [SIMD3<Double>], _ p: Int, _ q: Int
  ) {
    let theta = (matrix[q][q] - matrix[p][p]) / (2 * matrix[p][q])
    let size = theta.magnitude + (theta * theta + 1).squareRoot()
    let tangent = theta < 0 ? -1 / size : 1 / size
    let cosine = 1 / (tangent * tangent + 1).squareRoot()
    let sine = tangent * cosine
    for row in 0..<3 {
      let (left, right) = (matrix[row][p], matrix[row][q])
      matrix[row][p] = cosine * left - sine * right
      matrix[row][q] = sine * left + cosine * right
    }
    let (upper, lower) = (matrix[p], matrix[q])
    matrix[p] = cosine * upper - sine * lower
    matrix[q] = sine * upper + cosine * lower
    matrix[p][q] = 0
    matrix[q][p] = 0
    for row in 0..<3 {
      let (left, right) = (vectors[row][p], vectors[row][q])
      vectors[row][p] = cosine * left - sine * right
      vectors[row][q] = sine * left + cosine * right
    }
  }
}
