import Tensors
import Testing

@testable import Datasets

/// What takes the place of examples that cannot be read, and when they are too many.
@Suite(.timeLimit(.minutes(30))) struct BrokenExamplesTests {
  private static func source(_ count: Int, broken: Set<Int>) -> FixedSource {
    FixedSource(
      shape: Shape(1, 1, 1), examples: (0..<count).map { [Float($0)] },
      labels: (0..<count).map { Int32($0) }, broken: broken)
  }

  private static func loader(
    _ source: FixedSource, mostFraction: Double, threads: Int = 1
  ) throws -> BatchLoader {
    BatchLoader(
      training: source, evaluation: source, order: ExampleOrder(seed: 6, count: source.count),
      views: try ViewMaker(
        source: source.shape, output: source.shape, normalization: .none(channels: 1)),
      threads: threads, broken: BrokenExamples(mostFraction: mostFraction))
  }

  /// The examples of some rows; the pictures must be those of the labels.
  private static func take(
    _ loader: BatchLoader, _ kind: BatchRequest.Kind, _ first: Int, _ rows: Int
  ) throws(DatasetError) -> [Int] {
    let batch = try loader.take(
      BatchRequest(kind: kind, firstPosition: UInt64(first), rows: rows))
    defer { loader.recycle(batch) }
    for row in 0..<rows {
      #expect(abs(batch.images[row] * 255 - Float(batch.labels[row])) < 1e-3)
    }
    return batch.labels.map(Int.init)
  }

  @Test(arguments: [1, 3])
  func `the next by number takes the place, whoever asks and whenever`(threads: Int) throws {
    let order = ExampleOrder(seed: 6, count: 10)
    let instead = [3: 5, 4: 5, 9: 0]
    let expected = (0..<40).map { position in
      let example = order.example(at: UInt64(position))
      return instead[example] ?? example
    }
    for rows in [40, 8, 1] {
      let loader = try Self.loader(
        Self.source(10, broken: [3, 4, 9]), mostFraction: 0.01, threads: threads)
      defer { loader.stop() }
      var taken: [Int] = []
      for first in stride(from: 0, to: 40, by: rows) {
        taken += try Self.take(loader, .training, first, rows)
      }
      #expect(taken == expected)
      #expect(try Self.take(loader, .evaluation, 0, 10) == [0, 1, 2, 5, 5, 5, 6, 7, 8, 0])
      // Each is named once a set, however often it comes up.
      #expect(loader.broken?.count == 6)
      let news = loader.broken?.takeNews().sorted() ?? []
      #expect(
        news
          == ["test", "training"].flatMap { set in
            [3, 4, 9].map {
              "an example of the \(set) set cannot be read, the next one takes its place: "
                + "example \($0): is broken"
            }
          })
      #expect(loader.broken?.takeNews() == [])
    }
  }

  @Test func `what only this machine cannot read ends its loader, and nothing takes its place`()
    throws
  {
    for (broken, lost) in [(Set<Int>(), Set([4])), ([3], [4])] {
      var source = Self.source(10, broken: broken)
      source.lost = lost
      let loader = try Self.loader(source, mostFraction: 0.5)
      defer { loader.stop() }
      #expect(try Self.take(loader, .evaluation, 0, 3) == [0, 1, 2])
      let error = #expect(throws: DatasetError.self) {
        try Self.take(loader, .evaluation, 3, 1 + lost.count - broken.count)
      }
      #expect(error?.isOfMachine == true && error?.endsRun == false)
    }
  }

  @Test func `a folder in a picture's place, or nothing, is the data's fault`() throws {
    let directory = TemporaryDirectory()
    let error = #expect(throws: DatasetError.self) { try Files.bytes(of: directory.path) }
    #expect(error?.isOfMachine == false)
    let missing = #expect(throws: DatasetError.self) {
      try Files.bytes(of: directory.path + "/none.jpg")
    }
    #expect(missing?.isOfMachine == false)
  }

  @Test func `ten crops of a broken picture are those of the next`() throws {
    let loader = try Self.loader(Self.source(4, broken: [1]), mostFraction: 0.01)
    defer { loader.stop() }
    let rows = try Self.take(loader, .tenCrops, 5, 20)
    #expect(rows == Array(repeating: 0, count: 5) + Array(repeating: 2, count: 15))
    #expect(loader.broken?.takeNews().count == 1)
  }

  @Test func `more than the share, and ten at least, end the run with one reason`() throws {
    let loader = try Self.loader(
      Self.source(100, broken: Set((0..<100).filter { $0 % 2 == 1 })), mostFraction: 0.1)
    defer { loader.stop() }
    // Nine of eighteen are more than the share.
    #expect(try Self.take(loader, .evaluation, 0, 19).count == 19)
    #expect(loader.broken?.count == 9)
    let error = #expect(throws: DatasetError.self) {
      try Self.take(loader, .evaluation, 19, 1)
    }
    #expect(error?.endsRun == true)
    #expect(
      error?.description
        == "dataset: 10 of the 20 examples read so far cannot be read, dataset.maxBrokenFraction is"
        + " 0.1; the last: example 19: is broken")
    #expect(throws: DatasetError.self) { try Self.take(loader, .evaluation, 19, 1) }
  }

  @Test func `few broken ones of few do not end a run, however often they come up`() throws {
    let loader = try Self.loader(
      Self.source(18, broken: Set((0..<9).map { 2 * $0 })), mostFraction: 0.01)
    defer { loader.stop() }
    for step in 0..<50 { _ = try Self.take(loader, .training, 18 * step, 18) }
    #expect(loader.broken?.count == 9)
  }

  @Test func `many broken ones of very many do not`() throws {
    let broken = Set((0..<12).map { 100 * $0 })
    let loader = try Self.loader(Self.source(1200, broken: broken), mostFraction: 0.02)
    defer { loader.stop() }
    // A share of 0.01 on the average.
    for step in 0..<24 { _ = try Self.take(loader, .training, 100 * step, 100) }
    #expect(loader.broken?.count == 12)
  }

  @Test func `a share of 0 ends the run with the first, a set without a good one its worker`()
    throws
  {
    let strict = try Self.loader(Self.source(10, broken: [4]), mostFraction: 0)
    defer { strict.stop() }
    let first = #expect(throws: DatasetError.self) { try Self.take(strict, .evaluation, 0, 10) }
    #expect(first?.endsRun == true)
    let none = try Self.loader(Self.source(3, broken: [0, 1, 2]), mostFraction: 1)
    defer { none.stop() }
    let error = #expect(throws: DatasetError.self) { try Self.take(none, .training, 0, 1) }
    // Another machine may have them.
    #expect(error?.endsRun == false)
    #expect(error?.description.hasPrefix("dataset: no example can be read: example ") == true)
  }
}
