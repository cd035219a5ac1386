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
  /// This example cannot be read.
  var broken: Int?

  func label(_ index: Int) -> Int32 { labels.isEmpty ? 0 : labels[index] }
  func write(_ index: Int, into output: UnsafeMutablePointer<Float>) throws(DatasetError) {
    if index == broken { throw DatasetError("example \(index)", "is broken") }
    for pixel in 0..<shape.count { output[pixel] = examples[index][pixel] }
  }
}

@Suite struct NormalizationTests {
  @Test func `mean and deviation are those of each channel`() throws {
    let source = FixedSource(
      shape: Shape(2, 1, 2), examples: [[0, 255, 51, 51], [255, 0, 102, 102]])
    let normalization = try Normalization.measured(over: source)
    #expect(normalization.mean == [0.5, 0.3])
    #expect(abs(normalization.standardDeviation[0] - 0.5) < 1e-7)
    #expect(abs(normalization.standardDeviation[1] - 0.1) < 1e-7)
  }

  @Test func `a constant channel gets deviation 1`() throws {
    let source = FixedSource(shape: Shape(1, 1, 3), examples: [[51, 51, 51]])
    let normalization = try Normalization.measured(over: source)
    #expect(normalization == Normalization(mean: [0.2], standardDeviation: [1]))
  }

  @Test(arguments: [1, 7, 8, 9, 64, 100])
  func `measured data have mean 0 and deviation 1 once normalized`(width: Int) throws {
    let source = SyntheticSource(count: 30, shape: Shape(3, 5, width), classes: 3, seed: 2)
    let normalization = try Normalization.measured(over: source)
    var (sum, squares) = ([0.0, 0, 0], [0.0, 0, 0])
    var image = [Float](repeating: 0, count: source.shape.count)
    for index in 0..<30 {
      image.withUnsafeMutableBufferPointer {
        source.write(index, into: $0.baseAddress.unsafelyUnwrapped)
        normalization.apply(to: $0.baseAddress.unsafelyUnwrapped, plane: 5 * width)
      }
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

  @Test func `none leaves 0 to 1`() {
    var image: [Float] = [0, 51, 255]
    image.withUnsafeMutableBufferPointer {
      Normalization.none(channels: 1).apply(to: $0.baseAddress.unsafelyUnwrapped, plane: 3)
    }
    #expect(image == [0, 51 * (1 / 255), 1])
  }

  @Test func `an unreadable example is reported`() {
    let source = FixedSource(shape: Shape(1, 1, 1), examples: [[1], [2]], broken: 1)
    #expect(throws: DatasetError("example 1", "is broken")) {
      try Normalization.measured(over: source)
    }
  }
}
