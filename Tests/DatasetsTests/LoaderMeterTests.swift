import Tensors
import Testing

@testable import Datasets

@Suite struct LoaderMeterTests {
  @Test func `a loader's own rate is that of its busy time, times its threads`() {
    var meter = LoaderMeter(threads: 2, now: 1_000_000)
    var work = LoaderWork()
    work.loaded = 100
    work.busyNanoseconds = 50_000_000
    work.taken = 60
    meter.update(work, now: 3_000_000)
    #expect(meter.possible == 4000)
    #expect(meter.taken == 30)
    // Too soon, and then nothing taken: the interval goes on.
    work.taken = 80
    meter.update(work, now: 4_000_000)
    #expect(meter.taken == 30)
    meter.update(work, now: 7_000_000)
    #expect(meter.taken == 5)
    #expect(meter.possible == 4000)
    meter.update(work, now: 60_000_000)
    #expect(meter.taken == 5)
    meter.update(work, now: 67_000_000)
    #expect(meter.taken == 0)
  }

  @Test func `a loader counts what it has made ready and handed out`() throws {
    let source = try SyntheticSource.pair(
      training: 20, test: 4, shape: Shape(1, 4, 4), classes: 2, seed: 1)
    let views = try ViewMaker(
      source: Shape(1, 4, 4), output: Shape(1, 4, 4), augmentation: Augmentation(),
      normalization: .none(channels: 1))
    let loader = BatchLoader(
      training: source.train, evaluation: source.test, order: ExampleOrder(seed: 1, count: 20),
      views: views)
    defer { loader.stop() }
    loader.recycle(try loader.take(BatchRequest(kind: .training, firstPosition: 0, rows: 7)))
    #expect(loader.work.loaded == 7)
    #expect(loader.work.taken == 7)
    #expect(loader.work.busyNanoseconds > 0)
  }
}
