import Kernels
import Testing
import Training

@testable import Nodes

/// The single process against clusters.
@Suite(.timeLimit(.minutes(3)), .serialized)
struct SingleProcessTests {
  private func train(_ overrides: [String] = []) throws -> TinyRun.Record {
    ComputeThreads.use(1)
    let recorder = TinyRun.Recorder()
    let trainer = try SingleProcessTrainer(
      RunContext(TinyRun.configuration(overrides)), observer: recorder)
    try trainer.run()
    recorder.take(trainer.model)
    return recorder.record
  }

  @Test(arguments: [(1, 1), (3, 2)])
  func `a cluster follows the trajectory of a single process`(workers: Int, fcNodes: Int) throws {
    let single = try train()
    let cluster = try TinyRun.train(TinyRun.configuration(workers: workers, fcNodes: fcNodes))
    #expect(single.losses.count == 20)
    for (a, b) in zip(single.losses, cluster.losses) { #expect(abs(a - b) < 2e-4) }
    #expect(single.evaluations.map(\.step) == cluster.evaluations.map(\.step))
    for (a, b) in zip(single.evaluations, cluster.evaluations) {
      #expect(abs(a.loss - b.loss) < 2e-4)
      #expect(a.accuracy == b.accuracy)
    }
    #expect(single.parameters.keys.sorted() == cluster.parameters.keys.sorted())
    for (name, values) in single.parameters {
      for (a, b) in zip(values, cluster.parameters[name] ?? []) { #expect(abs(a - b) < 2e-4) }
    }
  }
}
