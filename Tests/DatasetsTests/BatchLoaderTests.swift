import Glibc
import Synchronization
import Tensors
import Testing

@testable import Datasets

/// Counts, and lets tests wait for a count.
private final class Counter: @unchecked Sendable {
  private let condition = Condition()
  private var requests: [BatchRequest] = []

  var all: [BatchRequest] { condition.locked { requests } }

  func add(_ request: BatchRequest) {
    condition.locked {
      requests.append(request)
      condition.wakeAll()
    }
  }

  func wait(for count: Int) {
    condition.locked { while requests.count < count { condition.wait() } }
  }
}

/// A source whose reading can be held up, to make the loader's timing the test's choice.
private final class GatedSource: ExampleSource, @unchecked Sendable {
  private let condition = Condition()
  private var isOpen = true
  private var waiting = 0
  let shape = Shape(1, 1, 1)
  let count = 100
  let classes = 1

  func label(_ index: Int) -> Int32 { 0 }

  func write(_ index: Int, into output: UnsafeMutablePointer<Float>) {
    condition.locked {
      waiting += 1
      condition.wakeAll()
      while !isOpen { condition.wait() }
      waiting -= 1
    }
    output[0] = Float(index)
  }

  func close() { condition.locked { isOpen = false } }

  func open() {
    condition.locked {
      isOpen = true
      condition.wakeAll()
    }
  }

  func waitForReader() { condition.locked { while waiting == 0 { condition.wait() } } }
}

@Suite(.timeLimit(.minutes(30))) struct BatchLoaderTests {
  private static let numbers = FixedSource(
    shape: Shape(1, 1, 2), examples: (0..<10).map { [Float($0), Float($0) + 0.5] },
    labels: (0..<10).map { Int32($0) })
  private static let tests = FixedSource(
    shape: Shape(1, 1, 2), examples: (0..<5).map { [Float($0) + 100, 0] },
    labels: [4, 3, 2, 1, 0])

  private func loader(
    training: any ExampleSource = numbers, evaluation: any ExampleSource = tests, depth: Int = 3,
    threads: Int = 1, normalization: Normalization? = nil,
    onReady: @escaping @Sendable (BatchRequest) -> Void = { _ in }
  ) throws -> BatchLoader {
    BatchLoader(
      training: training, evaluation: evaluation,
      order: ExampleOrder(seed: 6, count: training.count),
      views: try ViewMaker(
        source: training.shape, output: training.shape,
        normalization: normalization ?? Normalization(mean: [0], standardDeviation: [1 / 255])),
      depth: depth, threads: threads, onReady: onReady)
  }

  private func training(_ position: UInt64, _ rows: Int) -> BatchRequest {
    BatchRequest(kind: .training, firstPosition: position, rows: rows)
  }

  @Test(arguments: [1, 2, 4])
  func `a batch holds its positions' examples, requested or not`(threads: Int) throws {
    let loader = try loader(threads: threads)
    defer { loader.stop() }
    let order = ExampleOrder(seed: 6, count: 10)
    loader.request(training(8, 4))
    // The first straddles two epochs, the second was not asked for.
    for (position, rows) in [(UInt64(8), 4), (3, 7), (40, 1)] {
      let batch = try loader.take(training(position, rows))
      #expect(batch.request == training(position, rows))
      #expect(batch.labels.count == rows)
      #expect(batch.images.count == rows * 2)
      for row in 0..<rows {
        let example = order.example(at: position + UInt64(row))
        #expect(batch.labels[row] == Int32(example))
        #expect(abs(batch.images[2 * row] - Float(example)) < 1e-5)
        #expect(abs(batch.images[2 * row + 1] - Float(example) - 0.5) < 1e-5)
      }
      loader.recycle(batch)
    }
  }

  @Test func `evaluation runs in the test set's order and pads beyond it`() throws {
    let loader = try loader(normalization: Normalization(mean: [0.5], standardDeviation: [1]))
    defer { loader.stop() }
    let batch = try loader.take(BatchRequest(kind: .evaluation, firstPosition: 3, rows: 4))
    #expect(Array(batch.labels) == [1, 0, -1, -1])
    #expect(abs(batch.images[0] - (103.0 / 255 - 0.5)) < 1e-6)
    #expect(abs(batch.images[1] - -0.5) < 1e-6)
    // Padding is zero whatever the normalization.
    #expect(Array(batch.images[4...]) == [0, 0, 0, 0])
    loader.recycle(batch)
    let beyond = try loader.take(BatchRequest(kind: .evaluation, firstPosition: 50, rows: 1))
    #expect(Array(beyond.labels) == [-1])
    loader.recycle(beyond)
  }

  @Test func `a worker without a share gets an empty batch`() throws {
    let loader = try loader()
    defer { loader.stop() }
    let batch = try loader.take(training(4, 0))
    #expect(batch.images.isEmpty)
    #expect(batch.labels.isEmpty)
    loader.recycle(batch)
  }

  @Test func `requests become ready in order, no more than the depth ahead`() throws {
    let ready = Counter()
    let loader = try loader(depth: 2) { ready.add($0) }
    defer { loader.stop() }
    let requests = (0..<5).map { training(UInt64(2 * $0), 2) }
    for request in requests { loader.request(request) }
    ready.wait(for: 2)
    #expect(ready.all == Array(requests[0..<2]))
    for (index, request) in requests.enumerated() {
      loader.recycle(try loader.take(request))
      ready.wait(for: min(index + 3, 5))
    }
    #expect(ready.all == requests)
  }

  @Test func `an urgent batch passes those that nobody takes`() throws {
    let ready = Counter()
    let loader = try loader(depth: 1) { ready.add($0) }
    defer { loader.stop() }
    loader.request(training(0, 1))
    loader.request(training(1, 1))
    ready.wait(for: 1)
    loader.recycle(try loader.take(training(7, 1)))
    loader.recycle(try loader.take(training(0, 1)))
    loader.recycle(try loader.take(training(1, 1)))
  }

  @Test func `a request made twice is loaded once`() throws {
    let ready = Counter()
    let loader = try loader { ready.add($0) }
    defer { loader.stop() }
    loader.request(training(0, 1))
    loader.request(training(0, 1))
    loader.request(training(1, 1))
    ready.wait(for: 2)
    #expect(ready.all == [training(0, 1), training(1, 1)])
  }

  /// A step may have thousands of sub-batches, and the next one's are asked for too.
  @Test func `what more is asked for than is kept in mind is loaded when it is taken`() throws {
    let loader = try loader()
    defer { loader.stop() }
    for position in 0..<5_000 as Range<UInt64> { loader.request(training(position, 1)) }
    for position in [4_999, 0, 1] as [UInt64] {
      let batch = try loader.take(training(position, 1))
      #expect(batch.request == training(position, 1))
      loader.recycle(batch)
    }
  }

  @Test func `steady state allocates nothing`() throws {
    let loader = try loader(depth: 3)
    defer { loader.stop() }
    func steps(_ range: Range<UInt64>) throws {
      for step in range {
        for ahead in step...(step + 3) { loader.request(training(ahead * 4, 4)) }
        loader.recycle(try loader.take(training(step * 4, 4)))
        if step % 10 == 0 {
          let evaluation = BatchRequest(kind: .evaluation, firstPosition: step % 5, rows: 4)
          loader.recycle(try loader.take(evaluation))
        }
      }
    }
    try steps(0..<20)
    try steps(20..<200)
    // Three ready, one urgent, one taken, each of two cache lines: never more.
    #expect(loader.allocatedBytes <= 5 * 128)
    // Smaller shares fit where larger ones were.
    loader.cancelAll()
    let before = loader.allocatedBytes
    for step in 200..<220 { loader.recycle(try loader.take(training(UInt64(step), 3))) }
    #expect(loader.allocatedBytes == before)
  }

  @Test func `what was cancelled is not announced and can be asked for again`() throws {
    let source = GatedSource()
    let ready = Counter()
    let loader = try loader(training: source, evaluation: source) { ready.add($0) }
    defer { loader.stop() }
    source.close()
    loader.request(training(0, 1))
    loader.request(training(1, 1))
    source.waitForReader()
    loader.cancelAll()
    source.open()
    loader.recycle(try loader.take(training(50, 1)))
    ready.wait(for: 1)
    #expect(ready.all == [training(50, 1)])
    loader.request(training(0, 1))
    ready.wait(for: 2)
    loader.recycle(try loader.take(training(0, 1)))
  }

  @Test func `a take that waits outlives a cancellation`() throws {
    let source = GatedSource()
    let loader = try loader(training: source, evaluation: source)
    defer { loader.stop() }
    source.close()
    let taken = Mutex<Float?>(nil)
    let wanted = training(3, 1)
    let taker = LoaderThread(name: "taker") {
      do throws(DatasetError) {
        let batch = try loader.take(wanted)
        taken.withLock { $0 = batch.images[0] }
        loader.recycle(batch)
      } catch {}
    }
    source.waitForReader()
    loader.cancelAll()
    source.open()
    taker.join()
    let example = ExampleOrder(seed: 6, count: 100).example(at: 3)
    #expect(taken.withLock { $0 }.map { abs($0 - Float(example)) < 1e-4 } == true)
  }

  @Test func `an unreadable example is thrown to the taker, and later batches still come`() throws {
    var source = Self.numbers
    let broken = ExampleOrder(seed: 6, count: 10).example(at: 2)
    source.broken = [broken]
    let ready = Counter()
    let loader = try loader(training: source) { ready.add($0) }
    defer { loader.stop() }
    loader.request(training(0, 4))
    ready.wait(for: 1)
    #expect(throws: DatasetError("example \(broken)", "is broken")) {
      try loader.take(training(0, 4))
    }
    loader.recycle(try loader.take(training(3, 4)))
  }

  @Test func `stopping wakes a taker and joins`() throws {
    let source = GatedSource()
    let loader = try loader(training: source, evaluation: source)
    source.close()
    let message = Mutex("")
    let wanted = training(12, 1)
    let taker = LoaderThread(name: "taker") {
      do throws(DatasetError) {
        _ = try loader.take(wanted)
      } catch {
        message.withLock { $0 = error.description }
      }
    }
    source.waitForReader()
    let stopper = LoaderThread(name: "stopper") { loader.stop() }
    taker.join()
    #expect(message.withLock { $0 } == "loader: stopped before 1 training rows from 12")
    source.open()
    stopper.join()
    loader.stop()
    loader.request(training(0, 1))
    #expect(throws: DatasetError.self) { try loader.take(training(0, 1)) }
  }

  @Test func `many threads take what they asked for`() throws {
    let loader = try loader(
      training: SyntheticSource(count: 64, shape: Shape(1, 1, 2), classes: 3, seed: 1), depth: 4,
      threads: 3)
    let wrong = Atomic(0)
    let order = ExampleOrder(seed: 6, count: 64)
    let expected = (0..<UInt64(200 * 16)).map { order.example(at: $0) }
    let source = SyntheticSource(count: 64, shape: Shape(1, 1, 2), classes: 3, seed: 1)
    let takers = (0..<4).map { number in
      LoaderThread(name: "taker \(number)") {
        for step in 0..<200 {
          let request = BatchRequest(
            kind: .training, firstPosition: UInt64(step * 16 + number * 4), rows: 4)
          loader.request(request)
          do throws(DatasetError) {
            let batch = try loader.take(request)
            for row in 0..<4 {
              let example = expected[Int(request.firstPosition) + row]
              if batch.labels[row] != source.label(example) {
                wrong.add(1, ordering: .relaxed)
              }
            }
            loader.recycle(batch)
          } catch {
            wrong.add(1, ordering: .relaxed)
          }
          if number == 0 && step % 50 == 0 { loader.cancelAll() }
        }
      }
    }
    for taker in takers { taker.join() }
    #expect(wrong.load(ordering: .relaxed) == 0)
    loader.stop()
  }
}
