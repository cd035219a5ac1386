import Configuration
import Glibc
import Kernels
import Network
import Testing
import Training

@testable import Nodes

/// A last layer of tens of thousands of classes.
@Suite(.timeLimit(.minutes(30)), .serialized)
struct LargeHeadTests {
  private static let classes = 30_000

  private static func configuration(
    _ overrides: [String] = [], workers: Int = 1, fcNodes: Int = 1
  ) throws -> RunConfiguration {
    try TinyRun.configuration(
      [
        "network.layers=[{type: \"conv\", channels: 4, kernel: 3}, \"relu\","
          + " {type: \"maxpool\", window: 3, stride: 2}, {type: \"fc\", units: 16}, \"relu\","
          + " {type: \"fc\", units: \(classes), weight: {normal: 0.1}}]",
        "globalBatch=12", "steps=4", "evaluation.everySteps=null", "evaluation.everyEpochs=0",
      ] + overrides, workers: workers, fcNodes: fcNodes)
  }

  @Test func `a cluster trains a head of many classes like a single process`() throws {
    let recorder = TinyRun.Recorder()
    let trainer = try SingleProcessTrainer(
      RunContext(Self.configuration()), observer: recorder)
    try trainer.run()
    recorder.take(trainer.model)
    let single = recorder.record
    let cluster = try TinyRun.train(Self.configuration(workers: 2, fcNodes: 3))
    #expect(single.losses.count == 4)
    for (a, b) in zip(single.losses, cluster.losses) { #expect(abs(a - b) < 1e-4) }
    for (a, b) in zip(single.evaluations, cluster.evaluations) {
      #expect(abs(a.loss - b.loss) < 1e-4)
      #expect(a.accuracy == b.accuracy)
    }
    for (name, values) in single.parameters {
      let others = try #require(cluster.parameters[name])
      let largest = zip(values, others).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
      #expect(values.count == others.count && largest < 1e-5, "\(name): \(largest)")
    }
  }

  @Test(arguments: ["gathered", "scattered"])
  func `a loss over a sample of the classes is the same in any cluster`(kind: String) throws {
    let overrides = [
      "network.sampleRate=0.05", "schedule.kind=\(kind)",
      "schedule.subBatches=\(kind == "gathered" ? 1 : 3)",
    ]
    let recorder = TinyRun.Recorder()
    let trainer = try SingleProcessTrainer(
      RunContext(Self.configuration(overrides)), observer: recorder)
    try trainer.run()
    recorder.take(trainer.model)
    let single = recorder.record
    let cluster = try TinyRun.train(Self.configuration(overrides, workers: 2, fcNodes: 3))
    // Over a twentieth of the classes the loss begins near its logarithm.
    let first = try #require(single.losses.first)
    #expect(abs(first - log(0.05 * Double(Self.classes))) < 1)
    for (a, b) in zip(single.losses, cluster.losses) { #expect(abs(a - b) < 1e-4) }
    // Evaluation is over all of them.
    let last = try #require(single.evaluations.last)
    #expect(abs(last.loss - log(Double(Self.classes))) < 1)
    for (a, b) in zip(single.evaluations, cluster.evaluations) {
      #expect(abs(a.loss - b.loss) < 1e-4)
    }
    for (name, values) in single.parameters {
      let others = try #require(cluster.parameters[name])
      let largest = zip(values, others).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
      #expect(values.count == others.count && largest < 1e-5, "\(name): \(largest)")
    }
  }

  @Test(arguments: [2, 4, 7])
  func `nothing that crosses is of the number of classes`(fcNodes: Int) throws {
    let context = try RunContext(Self.configuration(fcNodes: fcNodes))
    let cut = context.cut
    #expect(cut.layers.last?.form == .gatherInput)
    // 16 units of the layer before, three numbers of the loss, and 36 features.
    for exchange in 0..<cut.exchangeCount(training: true) {
      for sender in 0..<fcNodes {
        for receiver in 0..<fcNodes where receiver != sender {
          #expect(cut.exchangedColumns(exchange, from: sender, to: receiver) <= 36)
        }
      }
    }
    // Each node has its own share of the layer and no more.
    for rank in 0..<fcNodes {
      let region = try #require(cut.layers.last).weightRegion(rank: rank)
      #expect(region.rows.count <= Self.classes / fcNodes + 1)
      #expect(region.columns.count == 16)
    }
  }
}
