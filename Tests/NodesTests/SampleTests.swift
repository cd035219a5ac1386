import Messages
import Observability
import Tensors
import Testing

@testable import Datasets
@testable import Nodes

/// Pictures and guesses on their way to people.
@Suite struct SampleTests {
  private static let shape = Pictures(firstRow: 0, rows: 2, channels: 1, height: 1, width: 2)

  private static func pictures(from row: Int, labels: [Int32], names: String = "") -> (
    Pictures, [Frame]
  ) {
    let pictures = Pictures(firstRow: row, rows: labels.count, channels: 1, height: 1, width: 2)
    let pixels = labels.flatMap { [UInt8($0), UInt8($0) + 100] }
    return (
      pictures,
      [Frame(copying: labels), Frame(copying: pixels)]
        + (names.isEmpty ? [] : [Frame(copying: Array(names.utf8))])
    )
  }

  private static func guesses(
    step: UInt64, rows: Int, _ classes: [Int32], _ probabilities: [Float]
  ) -> (Guesses, [Frame]) {
    (
      Guesses(step: step, rows: rows, classes: classes.count / rows),
      [Frame(copying: classes), Frame(copying: probabilities)]
    )
  }

  @Test func `the slices' guesses are merged, the likeliest first, equal ones by class`() throws {
    var desk = SampleDesk()
    let (first, firstFrames) = Self.pictures(from: 0, labels: [3], names: "a\nb\nc\nd\n")
    desk.take(first, firstFrames)
    let (second, secondFrames) = Self.pictures(from: 1, labels: [0])
    desk.take(second, secondFrames)
    let (left, leftFrames) = Self.guesses(step: 8, rows: 2, [1, 0, 0, 1], [0.2, 0.1, 0.9, 0.02])
    desk.take(left, leftFrames, rank: 0)
    #expect(desk.snapshot(fcNodes: 2) == nil)
    let (right, rightFrames) = Self.guesses(
      step: 8, rows: 2, [3, 2, 2, 3], [0.6, 0.1, 0.07, 0.01])
    desk.take(right, rightFrames, rank: 1)
    let shown = try #require(desk.snapshot(fcNodes: 2))
    #expect(shown.step == 8 && shown.classNames == ["a", "b", "c", "d"])
    #expect(shown.samples.map(\.label) == [3, 0])
    #expect(shown.samples.map(\.pixels) == [[3, 103], [0, 100]])
    #expect(shown.samples[0].guesses.map(\.index) == [3, 1, 0, 2])
    #expect(shown.samples[0].guesses.map(\.probability) == [0.6, 0.2, 0.1, 0.1])
    #expect(shown.samples[1].guesses.map(\.index) == [0, 2, 1, 3])
  }

  @Test func `guesses of different steps are never mixed`() {
    var desk = SampleDesk()
    let (pictures, frames) = Self.pictures(from: 0, labels: [1])
    desk.take(pictures, frames)
    let (old, oldFrames) = Self.guesses(step: 8, rows: 1, [0], [0.5])
    desk.take(old, oldFrames, rank: 0)
    let (new, newFrames) = Self.guesses(step: 16, rows: 1, [2], [0.5])
    desk.take(new, newFrames, rank: 1)
    #expect(desk.snapshot(fcNodes: 2) == nil)
    let (late, lateFrames) = Self.guesses(step: 16, rows: 1, [1], [0.4])
    desk.take(late, lateFrames, rank: 0)
    #expect(desk.snapshot(fcNodes: 2)?.step == 16)
  }

  @Test(arguments: [
    (Shape(1, 1, 784), 1, 60), (Shape(1, 784, 1), 60, 1), (Shape(1, 5, 130), 1, 43),
    (Shape(3, 65, 130), 21, 43), (Shape(1, 28, 28), 28, 28),
  ])
  func `inputs of any shape have pictures`(input: Shape, height: Int, width: Int) throws {
    let request = BatchRequest(kind: .evaluation, firstPosition: 0, rows: 2)
    let batch = Batch(request: request, exampleCount: input.count)
    // Each row of the input is brighter than the one before, or each column where there is one row.
    let isLine = input[1] == 1
    for index in batch.images.indices {
      let column = index % input[2]
      batch.images[index] = Float(isLine ? column : index / input[2] % input[1])
    }
    for row in 0..<2 { batch.labels[row] = Int32(row) }
    let made = try #require(SamplePictures(input: input, classNames: nil).make(batch, request))
    #expect(made.0.height == height && made.0.width == width)
    #expect(made.1[1].byteCount == 2 * input[0] * height * width)
    let pixels = Array(made.1[1].bytes.prefix(made.1[1].byteCount / 2))
    #expect(pixels == pixels.sorted())
    if isLine || height > 1 { #expect(pixels.first == 0 && pixels.last == 255) }
  }

  @Test func `without pictures there is nothing to show`() {
    var desk = SampleDesk()
    let (guesses, frames) = Self.guesses(step: 8, rows: 1, [0], [0.5])
    desk.take(guesses, frames, rank: 0)
    #expect(desk.snapshot(fcNodes: 1) == nil)
  }
}
