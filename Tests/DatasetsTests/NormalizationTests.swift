import Tensors
import Testing

@testable import Datasets

/// A source made of given pixels.
struct FixedSource: ExampleSource {
  let shape: Shape
  let examples: [[Float]]
  var labels: [Int32] = []
  var classes: Int { Int(labels.max() ?? 0) + 1 }
  var count: Int { examples.count }
  /// These examples cannot be read.
  var broken: Set<Int> = []
  /// Neither can these, for want of a disk.
  var lost: Set<Int> = []

  func label(_ index: Int) -> Int32 { labels.isEmpty ? 0 : labels[index] }
  func write(_ index: Int, into output: UnsafeMutablePointer<Float>) throws(DatasetError) {
    if lost.contains(index) { throw DatasetError("example \(index)", "is lost", isOfMachine: true) }
    if broken.contains(index) { throw DatasetError("example \(index)", "is broken") }
    for pixel in 0..<shape.count { output[pixel] = examples[index][pixel] }
  }
}

@Suite struct NormalizationTests {
  @Test func `mean and deviation are those of each channel`() throws {
    let source = FixedSource(
      shape: Shape(2, 1, 2), examples: [[0, 255, 51, 51], [255, 0, 102, 102]])
    let normalization = try Normalization.meanDeviation(.measured(over: source))
    #expect(normalization.mean == [0.5, 0.3])
    #expect(abs(normalization.standardDeviation[0] - 0.5) < 1e-7)
    #expect(abs(normalization.standardDeviation[1] - 0.1) < 1e-7)
  }

  @Test func `torchvision's constants are those of its transforms`() throws {
    let views = try ViewMaker(
      source: Shape(3, 1, 1), output: Shape(3, 1, 1), normalization: .torchvision)
    var image: [Float] = [0, 0, 0]
    views.write(views.center, of: [255, 0, 51], into: &image)
    // (x / 255 - mean) / std, as transforms.Normalize has it.
    let expected: [Float] = [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]
    for (a, b) in zip(image, expected) { #expect(abs(a - b) < 1e-5) }
  }

  @Test func `a constant channel gets deviation 1`() throws {
    let source = FixedSource(shape: Shape(1, 1, 3), examples: [[51, 51, 51]])
    let normalization = try Normalization.meanDeviation(.measured(over: source))
    #expect(normalization == Normalization(mean: [0.2], standardDeviation: [1]))
  }

  @Test(arguments: [1, 7, 8, 9, 64, 100])
  func `measured data have mean 0 and deviation 1 once normalized`(width: Int) throws {
    let source = SyntheticSource(count: 30, shape: Shape(3, 5, width), classes: 3, seed: 2)
    let normalization = try Normalization.meanDeviation(.measured(over: source))
    let views = try ViewMaker(
      source: source.shape, output: source.shape, normalization: normalization)
    var (sum, squares) = ([0.0, 0, 0], [0.0, 0, 0])
    var picture = [Float](repeating: 0, count: source.shape.count)
    var image = picture
    for index in 0..<30 {
      source.write(index, into: &picture)
      views.write(views.center, of: picture, into: &image)
      for (pixel, value) in image.enumerated() {
        sum[pixel / (5 * width)] += Double(value)
        squares[pixel / (5 * width)] += Double(value) * Double(value)
      }
    }
    for channel in 0..<3 {
      let total = Double(30 * 5 * width)
      #expect(abs(sum[channel] / total) < 1e-5)
      #expect(abs(squares[channel] / total - 1) < 1e-4)
    }
  }

  @Test func `none leaves 0 to 1`() throws {
    let shape = Shape(1, 1, 3)
    let views = try ViewMaker(source: shape, output: shape, normalization: .none(channels: 1))
    var image: [Float] = [7, 7, 7]
    views.write(views.center, of: [0, 51, 255], into: &image)
    #expect(image == [0, 51 * (1 / 255), 1])
  }

  @Test func `unreadable examples are left out, and reported if there is no other`() throws {
    var source = FixedSource(shape: Shape(1, 1, 1), examples: [[1], [2], [6]], broken: [1])
    let statistics = try ImageStatistics.measured(over: source)
    #expect(statistics.examples == 2)
    #expect(statistics.pixelMean == [3.5])
    source.broken = [0, 1, 2]
    #expect(throws: DatasetError("example 0", "is broken")) {
      try ImageStatistics.measured(over: source)
    }
  }
}
