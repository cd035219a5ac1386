import Tensors
import Testing

@testable import Datasets

@Suite struct ViewMakerTests {
  private static let raw = Normalization(mean: [0], standardDeviation: [1 / 255])

  private static func maker(
    _ source: Shape, _ output: Shape, _ change: (inout Augmentation) -> Void = { _ in },
    normalization: Normalization? = nil, colors: ColorComponents? = nil
  ) throws -> ViewMaker {
    var augmentation = Augmentation()
    change(&augmentation)
    return try ViewMaker(
      source: source, output: output, augmentation: augmentation,
      normalization: normalization
        ?? Normalization(
          mean: Array(repeating: 0, count: source[0]),
          standardDeviation: Array(repeating: 1 / 255, count: source[0])), colors: colors)
  }

  private static func seen(_ view: View, _ maker: ViewMaker, of picture: [Float]) -> [Float] {
    var input = [Float](repeating: .nan, count: maker.output.count)
    maker.write(view, of: picture, into: &input)
    return input
  }

  @Test func `every place and both directions are seen, each as often`() throws {
    let maker = try Self.maker(Shape(3, 32, 32), Shape(3, 28, 28)) { $0.flip = true }
    var counts: [View: Int] = [:]
    for example in 0..<5000 {
      counts[maker.training(seed: 3, epoch: 1, example: example), default: 0] += 1
    }
    // 5 x 5 places x 2: the author's code draws from both ends too, 33 x 33 x 2 of 256.
    #expect(counts.count == 50)
    #expect(counts.keys.allSatisfy { (0...4).contains($0.top) && (0...4).contains($0.left) })
    #expect(counts.values.allSatisfy { (60...145).contains($0) })
  }

  @Test func `a view is a function of seed, epoch and example`() throws {
    let maker = try Self.maker(Shape(1, 256, 256), Shape(1, 224, 224)) { $0.flip = true }
    let view = maker.training(seed: 7, epoch: 2, example: 11)
    #expect(maker.training(seed: 7, epoch: 2, example: 11) == view)
    for other in [(8, 2, 11), (7, 3, 11), (7, 2, 12)] {
      #expect(
        maker.training(seed: UInt64(other.0), epoch: UInt64(other.1), example: other.2) != view)
    }
    // For ever: a changed draw would be another training.
    #expect(view == View(top: 32, left: 23, isMirrored: true))
  }

  @Test func `a crop is the picture's part, mirrored by columns`() throws {
    let maker = try Self.maker(Shape(1, 3, 4), Shape(1, 2, 2))
    let picture = (0..<12).map(Float.init)
    #expect(Self.seen(View(top: 1, left: 2), maker, of: picture) == [6, 7, 10, 11])
    #expect(
      Self.seen(View(top: 1, left: 2, isMirrored: true), maker, of: picture) == [7, 6, 11, 10])
    #expect(maker.center == View(top: 0, left: 1))
  }

  @Test func `ten crops are corners and center, then the same mirrored`() throws {
    let maker = try Self.maker(Shape(1, 256, 256), Shape(1, 224, 224))
    let places = (0..<10).map(maker.crop)
    #expect(
      places.map { [$0.top, $0.left] } == [
        [0, 0], [0, 32], [32, 0], [32, 32], [16, 16], [0, 0], [0, 32], [32, 0], [32, 32], [16, 16],
      ])
    #expect(places.map(\.isMirrored) == (0..<10).map { $0 >= 5 })
  }

  @Test func `padding is 0 after normalization and moves the picture`() throws {
    let maker = try Self.maker(
      Shape(1, 2, 2), Shape(1, 2, 2), { $0.padding = 1 },
      normalization: Normalization(mean: [0.5], standardDeviation: [0.5]))
    let picture: [Float] = [255, 0, 0, 255]
    #expect(Self.seen(View(top: -1, left: -1), maker, of: picture) == [0, 0, 0, 1])
    #expect(Self.seen(View(top: 1, left: 0), maker, of: picture) == [-1, 1, 0, 0])
    #expect(
      Self.seen(View(top: 0, left: 1, isMirrored: true), maker, of: picture) == [0, -1, 0, 1])
    #expect(Self.seen(View(top: 2, left: 2), maker, of: picture) == [0, 0, 0, 0])
    #expect(maker.center == View(top: 0, left: 0))
    let tops = Set((0..<200).map { maker.training(seed: 1, epoch: 0, example: $0).top })
    #expect(tops == [-1, 0, 1])
  }

  @Test func `the mean image is subtracted at the crop's own place`() throws {
    let mean = (0..<9).map { Float($0) * 10 }
    let maker = try Self.maker(
      Shape(1, 3, 3), Shape(1, 2, 2),
      normalization: Normalization(mean: [0], standardDeviation: [1 / 255], pixelMean: mean))
    let input = Self.seen(View(top: 1, left: 1), maker, of: Array(repeating: 100, count: 9))
    for (value, expected) in zip(input, [60, 50, 30, 20] as [Float]) {
      #expect(abs(value - expected) < 1e-4)
    }
  }

  /// cuda-convnet2's convdata.py: crop, mirror, then less the middle of the mean.
  @Test func `the middle of the mean image is subtracted from every crop, upright`() throws {
    let mean = (0..<9).map { Float($0) * 10 }
    let normalization = Normalization(
      mean: [0], standardDeviation: [1 / 255], pixelMean: mean, takesMiddle: true)
    let maker = try Self.maker(
      Shape(1, 3, 3), Shape(1, 1, 3), { $0.padding = 1 }, normalization: normalization)
    let picture = (0..<9).map { Float($0) + 100 }
    func expect(_ view: View, _ expected: [Float]) {
      let input = Self.seen(view, maker, of: picture)
      #expect(zip(input, expected).allSatisfy { abs($0 - $1) < 1e-4 }, "\(input), \(expected)")
    }
    // The means of the middle row are 30, 40 and 50.
    expect(View(top: 1, left: 0), [103 - 30, 104 - 40, 105 - 50])
    expect(View(top: 2, left: 0), [106 - 30, 107 - 40, 108 - 50])
    expect(View(top: 2, left: 0, isMirrored: true), [108 - 30, 107 - 40, 106 - 50])
    expect(View(top: 0, left: 1), [101 - 30, 102 - 40, 0])
    expect(View(top: 0, left: 1, isMirrored: true), [0, 102 - 40, 101 - 50])
    expect(View(top: 2, left: 0, gain: 0.5), [38, 33.5, 29])
    #expect(throws: DatasetError.self) {
      try Self.maker(
        Shape(1, 3, 3), Shape(1, 5, 5), { $0.padding = 1 }, normalization: normalization)
    }
  }

  @Test func `pictures with shifted colors are divided where that is asked for`() throws {
    let colors = ColorComponents(
      variances: [1, 1, 1], directions: [.init(1, 0, 0), .init(0, 1, 0), .init(0, 0, 1)])
    for (rescales, gain) in [(false, 1 as Float), (true, 1 / 1.1)] {
      let maker = try Self.maker(
        Shape(3, 1, 1), Shape(3, 1, 1),
        {
          $0.colorNoise = 0.1
          $0.rescalesColors = rescales
        }, colors: colors)
      #expect(abs(maker.training(seed: 5, epoch: 9, example: 1).gain - gain) < 1e-6)
      #expect(maker.center.gain == 1 && maker.crop(7).gain == 1)
    }
  }

  @Test(arguments: [Augmentation.ColorScale.deviation, .variance])
  func `colors are shifted along their components by as much as sigma says`(
    scale: Augmentation.ColorScale
  ) throws {
    // Along red with deviation 51, along blue with 25.5; nothing along green.
    let colors = ColorComponents(
      variances: [51 * 51, 25.5 * 25.5, 0],
      directions: [.init(1, 0, 0), .init(0, 0, 1), .init(0, 1, 0)])
    let maker = try Self.maker(
      Shape(3, 1, 1), Shape(3, 1, 1),
      {
        $0.colorNoise = 0.1
        $0.colorScale = scale
      }, colors: colors)
    let count = 4000
    let shifts = (0..<count).map { maker.training(seed: 5, epoch: 9, example: $0).shift }
    func deviation(_ channel: Int) -> Double {
      (shifts.reduce(0) { $0 + Double($1[channel] * $1[channel]) } / Double(count)).squareRoot()
    }
    // The paper's text on colours in 0...1: 0.1 x 0.2^2 x 255 levels along red.
    let expected = scale == .deviation ? [5.1, 0, 2.55] : [1.02, 0, 0.255]
    for channel in 0..<3 {
      #expect(abs(deviation(channel) - expected[channel]) <= expected[channel] * 0.05)
    }
    let shift = SIMD3<Float>(1, 2, 3)
    let input = Self.seen(View(top: 0, left: 0, shift: shift), maker, of: [10, 20, 30])
    for channel in 0..<3 { #expect(abs(input[channel] - Float(channel + 1) * 11) < 1e-4) }
  }

  @Test func `what does not fit the network is refused`() throws {
    #expect(
      throws: DatasetError(
        "dataset", "its images are 3x32x32, the network's input is 3x224x224")
    ) { try Self.maker(Shape(3, 32, 32), Shape(3, 224, 224)) }
    #expect(throws: DatasetError.self) { try Self.maker(Shape(1, 32, 32), Shape(3, 32, 32)) }
    #expect(throws: Never.self) {
      try Self.maker(Shape(3, 32, 32), Shape(3, 36, 36)) { $0.padding = 2 }
    }
    #expect(throws: DatasetError.self) {
      try Self.maker(Shape(1, 8, 8), Shape(1, 8, 8)) { $0.colorNoise = 0.1 }
    }
  }

  @Test func `the loader gives training views by position and ten crops by example`() throws {
    let source = SyntheticSource(count: 7, shape: Shape(1, 8, 8), classes: 3, seed: 4)
    let maker = try Self.maker(Shape(1, 8, 8), Shape(1, 5, 5)) { $0.flip = true }
    let order = ExampleOrder(seed: 21, count: 7)
    let loader = BatchLoader(training: source, evaluation: source, order: order, views: maker)
    defer { loader.stop() }
    let batch = try loader.take(BatchRequest(kind: .training, firstPosition: 5, rows: 6))
    for row in 0..<6 {
      let example = order.example(at: UInt64(5 + row))
      let view = maker.training(seed: 21, epoch: UInt64((5 + row) / 7), example: example)
      let expected = Self.seen(view, maker, of: try picture(example, of: source))
      #expect(Array(batch.images[(row * 25)..<((row + 1) * 25)]) == expected)
    }
    loader.recycle(batch)
    let crops = try loader.take(BatchRequest(kind: .tenCrops, firstPosition: 55, rows: 20))
    for row in 0..<20 {
      let (example, crop) = ((55 + row) / 10, (55 + row) % 10)
      guard example < 7 else {
        #expect(crops.labels[row] == -1)
        continue
      }
      #expect(crops.labels[row] == source.label(example))
      let expected = Self.seen(maker.crop(crop), maker, of: try picture(example, of: source))
      #expect(Array(crops.images[(row * 25)..<((row + 1) * 25)]) == expected)
    }
    loader.recycle(crops)
  }
}

@Suite struct ImageStatisticsTests {
  @Test func `sums are those of each pixel and channel, whatever the order`() throws {
    let source = SyntheticSource(count: 9, shape: Shape(3, 3, 5), classes: 2, seed: 1)
    let statistics = try ImageStatistics.measured(over: source)
    let pictures = try (0..<9).map { try picture($0, of: source) }
    for pixel in 0..<45 {
      let mean = pictures.reduce(0) { $0 + Double($1[pixel]) } / 9
      #expect(statistics.pixelMean[pixel] == Float(mean))
    }
    var sums = PixelSums(shape: source.shape)
    for picture in pictures.reversed() { picture.withUnsafeBufferPointer { sums.add($0) } }
    #expect(sums.statistics == statistics)
    #expect(try ImageStatistics.measured(over: source, most: 3).examples == 3)
  }

  @Test func `components are those of a covariance that is known`() throws {
    // The author's, from his input files: what he published as sqrt of the eigenvalues.
    let deviations = [121.78, 37.09, 19.72]
    let vectors: [SIMD3<Double>] = [
      .init(0.39731, 0.70120, -0.59200), .init(-0.81698, -0.02354, -0.57618),
      .init(0.41796, -0.71258, -0.56351),
    ]
    let covariance = (0..<3).map { row in
      (0..<3).reduce(SIMD3<Double>.zero) {
        $0 + deviations[$1] * deviations[$1] * vectors[$1][row] * vectors[$1]
      }
    }
    let components = ColorComponents(covariance: covariance)
    for index in 0..<3 {
      #expect(abs(components.variances[index].squareRoot() - deviations[index]) < 0.01)
      let cosine = (components.directions[index] * vectors[index]).sum()
      #expect(abs(cosine.magnitude - 1) < 1e-3)
    }
    let still = ColorComponents(covariance: [.zero, .zero, .zero])
    #expect(still.variances == [0, 0, 0])
  }

  @Test func `grey pictures have one component, along grey`() throws {
    let source = FixedSource(shape: Shape(3, 1, 2), examples: [[0, 90, 0, 90, 0, 90]])
    let colors = try #require(try ImageStatistics.measured(over: source).colors)
    #expect(abs(colors.variances[0] - 3 * 45 * 45) < 1e-6)
    #expect(colors.variances[1] < 1e-9)
    for channel in 0..<3 {
      #expect(abs(colors.directions[0][channel] - 1 / 3.0.squareRoot()) < 1e-9)
    }
  }
}
