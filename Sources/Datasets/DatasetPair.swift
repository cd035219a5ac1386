import Tensors

/// A training set and a test set of the same kind of images.
package struct DatasetPair: Sendable {
  package let train: any ExampleSource
  package let test: any ExampleSource
  /// What the classes are called, in label order, where it is known.
  package let classNames: [String]?
  /// A hash by which the server sees that every worker reads the same data.
  ///
  /// It covers the counts, shapes, classes, every label and the pixels of `sampledExamples`
  /// evenly spaced examples of each set, or that one cannot be read; of prepared data, the index with the checksum of every
  /// example. Stable across machines and versions.
  package let fingerprint: UInt64
  /// What is known of the training set's pixels; `nil`: `ImageStatistics.measured` finds out.
  package let statistics: ImageStatistics?
  /// Parts of the training set, where workers have only their own.
  package let groups: ShardGroups?

  /// More examples find smaller differences, fewer make starting cheaper.
  package static let sampledExamples = 64

  /// Joins two sources and takes their fingerprint.
  ///
  /// - Parameters:
  ///   - statistics: of the training set, where they were kept.
  ///   - fingerprint: where the data set has one; `nil` takes it.
  ///   - groups: parts of the training set.
  /// - Throws: `DatasetError` if the two do not fit together, or none of the sampled examples of one
  ///   can be read.
  package init(
    train: any ExampleSource, test: any ExampleSource, classNames: [String]? = nil,
    statistics: ImageStatistics? = nil, fingerprint: UInt64? = nil, groups: ShardGroups? = nil
  ) throws(DatasetError) {
    guard train.shape == test.shape else {
      throw DatasetError(
        "data set", "training images are \(train.shape) and test images \(test.shape)")
    }
    guard train.classes == test.classes else {
      throw DatasetError(
        "data set", "\(train.classes) classes for training and \(test.classes) in the test set")
    }
    if let classNames, classNames.count != train.classes {
      throw DatasetError(
        "data set", "\(classNames.count) class names for \(train.classes) classes")
    }
    self.train = train
    self.test = test
    self.classNames = classNames
    self.statistics = statistics
    self.groups = groups
    if let fingerprint {
      self.fingerprint = fingerprint
      return
    }
    var hash = FowlerNollVo()
    try Self.add(train, to: &hash)
    try Self.add(test, to: &hash)
    self.fingerprint = hash.value
  }

  private static func add(
    _ source: any ExampleSource, to hash: inout FowlerNollVo
  ) throws(DatasetError) {
    hash.add(UInt64(source.count))
    hash.add(UInt64(source.shape.rank))
    for extent in source.shape.extents { hash.add(UInt64(extent)) }
    hash.add(UInt64(source.classes))
    for index in 0..<source.count { hash.add(UInt32(bitPattern: source.label(index))) }

    let size = source.shape.count
    let pixels = UnsafeMutableBufferPointer<Float>.allocate(capacity: size)
    defer { pixels.deallocate() }
    pixels.initialize(repeating: 0)
    let samples = min(source.count, sampledExamples)
    var failures: [DatasetError] = []
    for sample in 0..<samples {
      // Multiplied first, so that the samples reach from the first example to near the last.
      let index = sample * source.count / samples
      do throws(DatasetError) {
        try source.write(index, into: pixels.baseAddress.unsafelyUnwrapped)
      } catch {
        if error.isOfMachine { throw error }
        // Where it can be read the data are others: another example takes its place here.
        failures.append(error)
        hash.add(UInt64.max)
        continue
      }
      for pixel in pixels { hash.add(pixel.bitPattern) }
    }
    if failures.count == samples, let failure = failures.first { throw failure }
  }
}

/// FNV-1a, 64 bit, over little-endian words: equality of data that nobody forges.
struct FowlerNollVo {
  private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  /// Adds the bytes of `word`, least significant first.
  mutating func add(_ word: some FixedWidthInteger & UnsignedInteger) {
    var rest = UInt64(word)
    for _ in 0..<(word.bitWidth / 8) {
      value = (value ^ (rest & 0xFF)) &* 0x100_0000_01B3
      rest >>= 8
    }
  }
}
