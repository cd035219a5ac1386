import Kernels
import Messages
import Observability
import Testing
import Training

@testable import Nodes

/// The single process against clusters.
@Suite(.timeLimit(.minutes(30)), .serialized)
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

  @Test func `the rate falls with the validation error, on every node at the same step`() throws {
    // No error is so much lower than the one before: every evaluation is one too many.
    let plateau = [
      "optimizer.decay.kind=plateau", "optimizer.decay.threshold=0.9",
      "optimizer.decay.patience=1", "evaluation.everySteps=4",
    ]
    let single = try train(plateau)
    let cluster = try TinyRun.train(TinyRun.configuration(plateau, workers: 3, fcNodes: 2))
    let constant = try train(["evaluation.everySteps=4"])
    for (name, values) in single.parameters {
      for (a, b) in zip(values, cluster.parameters[name] ?? []) { #expect(abs(a - b) < 2e-4) }
    }
    for (a, b) in zip(single.losses, cluster.losses) { #expect(abs(a - b) < 2e-4) }
    // Were the rate not lowered, the end would be another.
    let last = try #require(single.losses.last)
    #expect(abs(last - (constant.losses.last ?? last)) > 1e-3)
  }

  private static func stepsEachSubBatch(_ kind: String) -> [String] {
    [
      "schedule.kind=\(kind)", "schedule.subBatches=2", "schedule.fcUpdate=per-sub-batch",
      "optimizer.scaling.rule=linear", "optimizer.scaling.referenceBatch=22",
    ]
  }

  @Test(arguments: ["scattered", "round-robin"], [(1, 1), (3, 2), (5, 3)])
  func `a cluster whose fc weights step once a sub-batch follows it too`(
    kind: String, shape: (workers: Int, fcNodes: Int)
  ) throws {
    let overrides = Self.stepsEachSubBatch(kind)
    let single = try train(overrides)
    let cluster = try TinyRun.train(
      TinyRun.configuration(overrides, workers: shape.workers, fcNodes: shape.fcNodes))
    #expect(single.losses.count == 20)
    for (a, b) in zip(single.losses, cluster.losses) { #expect(abs(a - b) < 2e-4) }
    #expect(single.evaluations.map(\.step) == cluster.evaluations.map(\.step))
    for (a, b) in zip(single.evaluations, cluster.evaluations) {
      #expect(abs(a.loss - b.loss) < 2e-4)
    }
    for (name, values) in single.parameters {
      for (a, b) in zip(values, cluster.parameters[name] ?? []) { #expect(abs(a - b) < 2e-4) }
    }
    // Another way of training than one step for both.
    let other = try train([
      "schedule.kind=\(kind)", "schedule.subBatches=2", "optimizer.scaling.rule=linear",
      "optimizer.scaling.referenceBatch=22",
    ])
    let last = try #require(single.losses.last)
    #expect(abs(last - (other.losses.last ?? last)) > 1e-3)
  }

  /// Without conv weights the two steps of a batch are steps like any other: the sub-batches are
  /// the batches of a run with half the batch.
  @Test func `two sub-batches that step are two steps of half the batch`() throws {
    let dense = [
      "network.layers=[{type: \"maxpool\", window: 3, stride: 2}, {type: \"fc\", units: 13}, \"relu\","
        + " {type: \"fc\", units: 5}]",
      "evaluation.everySteps=null", "evaluation.everyEpochs=0",
    ]
    let one = try train(
      dense + [
        "schedule.kind=scattered", "schedule.subBatches=2", "schedule.fcUpdate=per-sub-batch",
        "globalBatch=22", "steps=10",
      ])
    let two = try train(dense + ["globalBatch=11", "steps=20"])
    for (step, loss) in one.losses.enumerated() {
      #expect(abs(loss - (two.losses[2 * step] + two.losses[2 * step + 1]) / 2) < 1e-5)
    }
    #expect(one.parameters.count == 4)
    for (name, values) in one.parameters {
      let others = try #require(two.parameters[name])
      for (a, b) in zip(values, others) { #expect(abs(a - b) < 1e-5, "\(name): \(a) and \(b)") }
    }
  }

  @Test(arguments: [
    ["optimizer.scaling={rule: 'sqrt', referenceBatch: 5}"],
    [
      "optimizer.scaling={rule: 'linear', referenceBatch: 11}",
      "optimizer.decay={kind: 'cosine', warmupEpochs: 1}",
    ],
    ["optimizer.clipValue=0.01"],
    [
      "optimizer.biasLearningRateFactor=2", "optimizer.biasWeightDecay=false",
      "optimizer.weightDecay=0.05",
    ],
    ["optimizer.decay={kind: 'owt'}"],
    ["optimizer.rule=pytorch", "optimizer.decay={kind: 'steps', atFractions: [0.5], factor: 0.3}"],
  ])
  func `every rule of the recipe does in a cluster what it does in a single process`(
    recipe: [String]
  ) throws {
    let plain = try train()
    let single = try train(recipe)
    let cluster = try TinyRun.train(TinyRun.configuration(recipe, workers: 3, fcNodes: 2))
    for (a, b) in zip(single.losses, cluster.losses) { #expect(abs(a - b) < 2e-4) }
    for (name, values) in single.parameters {
      for (a, b) in zip(values, cluster.parameters[name] ?? []) { #expect(abs(a - b) < 2e-4) }
    }
    // It does something.
    #expect(
      single.parameters.contains { name, values in
        zip(values, plain.parameters[name] ?? []).contains { abs($0 - $1) > 1e-3 }
      })
  }

  @Test func `a run whose error no longer falls ends after the same evaluation in a cluster`()
    throws
  {
    let recipe = ["evaluation={everySteps: 4, earlyStop: 2}", "optimizer.learningRate=1e-12"]
    let single = try train(recipe)
    #expect(single.evaluations.map(\.step) == [4, 8, 12])
    let recorder = TinyRun.Recorder()
    let cluster = try InProcessCluster(
      TinyRun.configuration(recipe, workers: 2, fcNodes: 2), observer: recorder,
      log: { Logger(descriptor: 2, name: $0, level: .warning) })
    let stop = try cluster.runToEnd()
    #expect(stop.reason.contains("error"), "\(stop)")
    #expect(recorder.record.evaluations.map(\.step) == [4, 8, 12])
  }

  @Test func `with bf16 on the wire a cluster trains nearly the same`() throws {
    let single = try train()
    let wire = ["activations", "gradients", "parameters"].map { "wire.\($0)=bf16" }
    let cluster = try TinyRun.train(TinyRun.configuration(wire, workers: 3, fcNodes: 2))
    #expect(cluster.losses.count == single.losses.count)
    for (a, b) in zip(single.losses, cluster.losses) { #expect(abs(a - b) < 0.02 * a) }
    // Had nothing been rounded, they would agree to 2e-4.
    #expect(zip(single.losses, cluster.losses).contains { abs($0 - $1) > 2e-4 })
  }
}
