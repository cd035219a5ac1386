import Configuration
import Datasets
import Kernels
import Messages
import Observability
import Synchronization
import Tensors
import Testing
import Training

@testable import Nodes

/// A picture that makes numbers infinite, in real clusters: no step with it is applied.
@Suite(.timeLimit(.minutes(30)), .serialized)
struct NonFiniteTests {
  /// The tiny run's data, but for one picture whose values are too large for any sum of them.
  private struct Poisoned: ExampleSource {
    let source: SyntheticSource
    static let index = 77

    var count: Int { source.count }
    var shape: Shape { source.shape }
    var classes: Int { source.classes }
    func label(_ index: Int) -> Int32 { source.label(index) }

    func write(_ index: Int, into output: UnsafeMutablePointer<Float>) throws(DatasetError) {
      source.write(index, into: output)
      guard index == Self.index else { return }
      for element in 0..<shape.count { output[element] *= 1e38 }
    }
  }

  private func inputs() throws -> RunInputs {
    let shape = Shape(2, 9, 9)
    let train = SyntheticSource(count: 101, shape: shape, classes: 5, seed: 5)
    let test = SyntheticSource(count: 33, shape: shape, classes: 5, seed: 5, firstExample: 101)
    return RunInputs(
      dataset: try DatasetPair(train: Poisoned(source: train), test: test, fingerprint: 1))
  }

  private func cluster(
    _ overrides: [String], workers: Int, fcNodes: Int
  ) throws -> (record: TinyRun.Record, stop: String?) {
    let recorder = SteppedRecorder()
    let cluster = try InProcessCluster(
      TinyRun.configuration(overrides, workers: workers, fcNodes: fcNodes), inputs: inputs(),
      observer: recorder, onModel: { recorder.take($0) },
      log: { Logger(descriptor: 2, name: $0, level: .error) })
    let stop = try cluster.runToEnd()
    return (recorder.record, stop.outcome == .failed ? stop.reason : nil)
  }

  /// As `TinyRun.Recorder`, but steps may be missing.
  private final class SteppedRecorder: RunObserver {
    private let state = Mutex(TinyRun.Record())
    var record: TinyRun.Record { state.withLock { $0 } }
    func trained(step: UInt64, loss: Double, accuracy: Double) {
      state.withLock { $0.losses.append(loss) }
    }
    func evaluated(step: UInt64, loss: Double, accuracy: Double, top5: Double) {}
    func take(_ model: ModelTensors) {
      let copies = model.tensors.map { ($0.name, Array($0.values)) }
      state.withLock { $0.parameters = Dictionary(copies, uniquingKeysWith: { $1 }) }
    }
  }

  private func single(_ overrides: [String]) throws -> TinyRun.Record {
    ComputeThreads.use(1)
    let recorder = SteppedRecorder()
    let trainer = try SingleProcessTrainer(
      RunContext(TinyRun.configuration(overrides), inputs: inputs()), observer: recorder)
    try trainer.run()
    recorder.take(trainer.model)
    return recorder.record
  }

  @Test(arguments: [(1, 1), (3, 2)])
  func `a cluster skips the steps that a single process skips`(workers: Int, fcNodes: Int) throws {
    let skip = ["optimizer.onNaN=skip"]
    let single = try single(skip)
    let cluster = try cluster(skip, workers: workers, fcNodes: fcNodes)
    #expect(cluster.stop == nil)
    // 20 steps of 22 pass over each of 101 examples four times, or five.
    #expect((15...16).contains(single.losses.count), "\(single.losses.count)")
    for (name, values) in single.parameters {
      let found = cluster.record.parameters[name] ?? []
      #expect(found.count == values.count)
      for (a, b) in zip(values, found) { #expect(abs(a - b) < 2e-4) }
    }
  }

  @Test func `by itself the run stops, and the step, the node and the layer are named`() throws {
    let cluster = try cluster([], workers: 3, fcNodes: 2)
    let reason = try #require(cluster.stop)
    let words = /step \d+ is not applied: (worker|fc) \d: .*(conv|fc)\d.*/
    #expect(try words.wholeMatch(in: reason) != nil, "\(reason)")
    for values in cluster.record.parameters.values { #expect(values.allSatisfy { $0.isFinite }) }
    #expect(throws: TrainingError.self) { try single([]) }
  }

  @Test func `what would happen again ends a run that goes back`() throws {
    let cluster = try cluster(["optimizer.onNaN=rollback"], workers: 2, fcNodes: 2)
    #expect(cluster.stop?.contains("not even the second time") == true, "\(cluster.stop ?? "")")
  }

  @Test func `a learning rate that blows the parameters up is stopped at once`() throws {
    let cluster = try cluster(["optimizer.learningRate=1e38"], workers: 2, fcNodes: 1)
    #expect(cluster.stop?.contains("is not applied") == true, "\(cluster.stop ?? "")")
  }
}
