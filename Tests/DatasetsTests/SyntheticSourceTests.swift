import Tensors
import Testing

@testable import Datasets

@Suite struct SyntheticSourceTests {
  private func example(_ source: SyntheticSource, _ index: Int) -> [Float] {
    var pixels = [Float](repeating: -1, count: source.shape.count)
    pixels.withUnsafeMutableBufferPointer {
      source.write(index, into: $0.baseAddress.unsafelyUnwrapped)
    }
    return pixels
  }

  @Test func `examples are whole grey levels, a function of seed and number`() {
    let source = SyntheticSource(count: 20, shape: Shape(3, 9, 11), classes: 4, seed: 1)
    let again = SyntheticSource(count: 20, shape: Shape(3, 9, 11), classes: 4, seed: 1)
    let other = SyntheticSource(count: 20, shape: Shape(3, 9, 11), classes: 4, seed: 2)
    for index in [19, 0, 7] {
      let pixels = example(source, index)
      #expect(pixels.allSatisfy { $0 >= 0 && $0 <= 255 && $0 == $0.rounded() })
      #expect(pixels == example(again, index))
      #expect(source.label(index) == again.label(index))
      #expect(pixels != example(other, index))
    }
    #expect(example(source, 3) != example(source, 4))
  }

  @Test func `a test set goes on where the training set ends`() throws {
    let shape = Shape(1, 8, 8)
    let pair = try SyntheticSource.pair(training: 5, test: 3, shape: shape, classes: 2, seed: 8)
    let whole = SyntheticSource(count: 8, shape: shape, classes: 2, seed: 8)
    let test = try #require(pair.test as? SyntheticSource)
    for index in 0..<3 {
      #expect(example(test, index) == example(whole, 5 + index))
      #expect(test.label(index) == whole.label(5 + index))
    }
    #expect(pair.classNames == ["synthetic 0", "synthetic 1"])
  }

  @Test func `labels are dealt evenly`() {
    let source = SyntheticSource(count: 4000, shape: Shape(1, 1, 1), classes: 4, seed: 3)
    var counts = [0, 0, 0, 0]
    for index in 0..<4000 { counts[Int(source.label(index))] += 1 }
    #expect(counts.allSatisfy { $0 > 850 && $0 < 1150 })
  }

  @Test func `classes can be learned, and not from one pixel`() {
    // The nearest class mean, learned from 400 examples, must know nearly all of 200 others; the
    // same on one pixel alone must not.
    let shape = Shape(1, 16, 16)
    let classes = 5
    let train = SyntheticSource(count: 400, shape: shape, classes: classes, seed: 4)
    let test = SyntheticSource(
      count: 200, shape: shape, classes: classes, seed: 4, firstExample: 400)
    var means = [[Float]](repeating: Array(repeating: 0, count: 256), count: classes)
    var counts = [Float](repeating: 0, count: classes)
    for index in 0..<400 {
      let label = Int(train.label(index))
      counts[label] += 1
      for (pixel, value) in example(train, index).enumerated() { means[label][pixel] += value }
    }
    for label in 0..<classes { means[label] = means[label].map { $0 / counts[label] } }
    func accuracy(_ pixels: Range<Int>) -> Double {
      var right = 0
      for index in 0..<200 {
        let image = example(test, index)
        let distances = means.map { mean in
          pixels.reduce(Float(0)) { $0 + (mean[$1] - image[$1]) * (mean[$1] - image[$1]) }
        }
        let nearest = distances.indices.min { distances[$0] < distances[$1] }
        if nearest == Int(test.label(index)) { right += 1 }
      }
      return Double(right) / 200
    }
    #expect(accuracy(0..<256) > 0.97)
    #expect(accuracy(100..<101) < 0.6)
  }
}
