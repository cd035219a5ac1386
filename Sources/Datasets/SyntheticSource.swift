package import Tensors

/// Made-up labelled images for tests, benchmarks and first tries: no data set, and no result
/// about one.
///
/// Every class has a random pattern of coarse blocks, every example its class's pattern under
/// noise, so a network can learn it, but not from a single pixel. Example `i` is a pure function
/// of (seed, i).
package struct SyntheticSource: ExampleSource {
  package let count: Int
  package let shape: Shape
  package let classes: Int
  private let seed: UInt64
  private let firstExample: UInt64

  /// Blocks of a pattern along each axis.
  private static let blocks = 8
  /// Half the pattern's range, in grey levels: larger is easier to learn.
  private static let contrast: Float = 40
  /// Half the noise's range, in grey levels: larger is harder to learn.
  private static let noise: Float = 80

  /// Describes the images; nothing is kept in memory, however many classes there are.
  ///
  /// - Parameters:
  ///   - count: how many examples there are.
  ///   - shape: `[C, H, W]`.
  ///   - classes: how many classes there are.
  ///   - seed: what patterns and noise are made from.
  ///   - firstExample: number of example 0; sources with the same seed and disjoint numbers have
  ///     the same patterns and different examples.
  package init(
    count: Int, shape: Shape, classes: Int, seed: UInt64, firstExample: Int = 0
  ) {
    precondition(
      count >= 1 && classes >= 1 && shape.rank == 3 && firstExample >= 0,
      "synthetic data of \(count) x \(shape) in \(classes) classes from \(firstExample)")
    self.count = count
    self.shape = shape
    self.classes = classes
    self.seed = seed
    self.firstExample = UInt64(firstExample)
  }

  /// A training and a test set with the same patterns and different examples.
  ///
  /// - Throws: never for sources of one shape; the error type is the pair's.
  package static func pair(
    training: Int, test: Int, shape: Shape, classes: Int, seed: UInt64
  ) throws(DatasetError) -> DatasetPair {
    try DatasetPair(
      train: SyntheticSource(count: training, shape: shape, classes: classes, seed: seed),
      test: SyntheticSource(
        count: test, shape: shape, classes: classes, seed: seed, firstExample: training),
      classNames: (0..<classes).map { "synthetic \($0)" })
  }

  package func label(_ index: Int) -> Int32 {
    precondition(index >= 0 && index < count, "example \(index) of \(count)")
    let stream = RandomStream(seed: seed, purpose: .synthetic, second: Lane.label)
    let word = stream.word(at: firstExample + UInt64(index))
    return Int32(RandomStream.below(UInt32(classes), word))
  }

  package func write(_ index: Int, into output: UnsafeMutablePointer<Float>) {
    let label = Int(label(index))
    let (channels, height, width) = (shape[0], shape[1], shape[2])
    let stream = RandomStream(
      seed: seed, purpose: .synthetic, first: firstExample + UInt64(index), second: Lane.noise)
    let blocks = Self.blocks
    let pattern = pattern(of: label)
    pattern.withUnsafeBufferPointer { pattern in
      var pixel = 0
      var words = Philox.Words()
      for channel in 0..<channels {
        for y in 0..<height {
          let row = (channel * blocks + y * blocks / height) * blocks
          for x in 0..<width {
            // Eight pixels a call of the generator: 16 bits of noise are plenty.
            let part = pixel & 7
            if part == 0 { words = stream.words(UInt64(pixel / 8)) }
            let bits = words[part >> 1] >> (part & 1 == 0 ? 0 : 16) & 0xFFFF
            let noise = (Float(bits) * 0x1p-15 - 1) * Self.noise
            let value = 128 + pattern[row + x * blocks / width] + noise
            // Whole grey levels, as from a file.
            output[pixel] = min(max(value, 0), 255).rounded()
            pixel += 1
          }
        }
      }
    }
  }

  /// `[C, blocks, blocks]` of a class, added to mid-grey.
  private func pattern(of label: Int) -> [Float] {
    let stream = RandomStream(seed: seed, purpose: .synthetic, second: Lane.pattern)
    let count = shape[0] * Self.blocks * Self.blocks
    // A multiple of four elements: four a call of the generator.
    let first = UInt64(label * count / 4)
    return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      for element in stride(from: 0, to: count, by: 4) {
        let words = stream.words(first + UInt64(element / 4))
        for part in 0..<4 {
          buffer[element + part] = (RandomStream.uniform(words[part]) * 2 - 1) * Self.contrast
        }
      }
      initialized = count
    }
  }

  /// What a stream of this source is for.
  private enum Lane {
    static let pattern: UInt32 = 0
    static let label: UInt32 = 1
    static let noise: UInt32 = 2
  }
}
