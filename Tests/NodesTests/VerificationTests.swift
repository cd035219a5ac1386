import Configuration
import Network
import Observability
import Testing
import Training

@testable import Nodes

/// What `crosscut verify` finds, and what it does not.
@Suite(.timeLimit(.minutes(30)), .serialized)
struct VerificationTests {
  private static let steps = 8

  private func run(_ verification: Verification) throws -> VerificationReport {
    try verification.run { Logger(descriptor: 2, name: $0, level: .warning) }
  }

  @Test(arguments: [(1, 1), (3, 2), (4, 2)])
  func `a healthy cluster passes`(workers: Int, fcNodes: Int) throws {
    let report = try run(
      Verification(
        TinyRun.configuration(workers: workers, fcNodes: fcNodes), steps: Self.steps,
        tolerance: 1e-4))
    #expect(report.findings.isEmpty, "\(report.findings)")
    #expect(report.tensors.map(\.name).prefix(2) == ["conv1 weight", "conv1 bias"])
    #expect(report.tensors.count == 10)
    // Several nodes sum in another order: had nothing been compared, nothing would differ.
    #expect(report.tensors.contains { $0.gradient.relative > 0 } == (workers * fcNodes > 1))
    // The same gradients through the same optimizer: the same bits.
    #expect(report.tensors.allSatisfy { $0.parameter == 0 })
    #expect(report.loss.relative < 1e-5)
  }

  @Test func `several parameter servers pass, each with its own gradients`() throws {
    let report = try run(
      Verification(
        TinyRun.configuration(["cluster.serverShards=3"], workers: 3, fcNodes: 2),
        steps: Self.steps, tolerance: 1e-4))
    #expect(report.findings.isEmpty, "\(report.findings)")
    #expect(report.tensors.count == 10)
    #expect(report.tensors.allSatisfy { $0.parameter == 0 })
  }

  @Test(arguments: [
    (ScheduleConfiguration.Kind.scattered, 0), (.scattered, 4), (.roundRobin, 0), (.roundRobin, 5),
  ])
  func `a cluster that pipelines sub-batches trains the same`(
    kind: ScheduleConfiguration.Kind, subBatches: Int
  ) throws {
    var configuration = try TinyRun.configuration(workers: 3, fcNodes: 2)
    configuration.schedule.kind = kind
    configuration.schedule.subBatches = subBatches
    let report = try run(Verification(configuration, steps: Self.steps, tolerance: 1e-4))
    #expect(report.findings.isEmpty, "\(report.findings)")
    #expect(report.tensors.contains { $0.gradient.relative > 0 })
    #expect(report.loss.relative < 1e-5)
  }

  @Test(arguments: [
    (ScheduleConfiguration.Kind.scattered, 2), (.roundRobin, 2), (.roundRobin, 11),
  ])
  func `a cluster whose fc weights step once a sub-batch makes the single process's steps`(
    kind: ScheduleConfiguration.Kind, subBatches: Int
  ) throws {
    var configuration = try TinyRun.configuration(workers: 3, fcNodes: 2)
    configuration.schedule.kind = kind
    configuration.schedule.subBatches = subBatches
    configuration.schedule.fcUpdate = .perSubBatch
    let report = try run(Verification(configuration, steps: Self.steps, tolerance: 1e-4))
    #expect(report.findings.isEmpty, "\(report.findings)")
    #expect(report.tensors.allSatisfy { $0.gradient.relative > 0 })
    #expect(report.tensors.allSatisfy { $0.parameter == 0 })
    #expect(report.loss.relative < 1e-5)
  }

  @Test func `a step left out of a sub-batch is found`() throws {
    // The same gradients; but summed, not stepped.
    var cluster = try TinyRun.configuration(workers: 2, fcNodes: 2)
    cluster.schedule.kind = .scattered
    cluster.schedule.subBatches = 2
    cluster.schedule.fcUpdate = .perSubBatch
    var reference = cluster
    reference.optimizer.momentum = 0.8
    let report = try run(
      Verification(cluster: cluster, reference: reference, steps: Self.steps, tolerance: 1e-4))
    // Momentum acts from the second update on: in the fc layers that is the second sub-batch's.
    #expect(report.findings.contains { $0.quantity == .parameter && $0.tensor == "fc5 weight" })
    #expect(report.firstFinding?.step == 1)
  }

  /// Spoils one element of one gradient.
  private struct Doctor: StepProbe {
    let next: any StepProbe
    let tensor: String
    let element: Int
    let step: UInt64

    func gradient(
      step: UInt64, subBatch: Int?, of entry: ParameterTable.Entry, region: ParameterRegion,
      values: UnsafePointer<Float>
    ) {
      if step == self.step, entry.name == tensor {
        for (elements, offset) in region.runs where elements.contains(element) {
          // The node's own gradient, which it is about to apply.
          UnsafeMutablePointer(mutating: values)[offset + element - elements.lowerBound] += 0.05
        }
      }
      next.gradient(
        step: step, subBatch: subBatch, of: entry, region: region, values: values)
    }
  }

  @Test(arguments: [
    ("features.4.weight", 107, "gradient of conv2 weight at step 5"),
    ("classifier.0.weight", 13 * 24 - 1, "gradient of fc3 weight at step 5"),
    ("classifier.5.bias", 4, "gradient of fc5 bias at step 5"),
  ])
  func `one wrong element of one gradient is found and named`(
    tensor: String, element: Int, finding: String
  ) throws {
    let configuration = try TinyRun.configuration(workers: 3, fcNodes: 2)
    let report = try run(
      Verification(
        cluster: configuration, reference: configuration, steps: Self.steps, tolerance: 1e-4,
        filter: { Doctor(next: $0, tensor: tensor, element: element, step: 5) }))
    #expect(report.findings.map(\.description) == [finding])
  }

  @Test func `a cluster with another momentum is found at its first effect`() throws {
    // Momentum acts from the second update on, which the third step's loss is the first to see.
    let report = try run(
      Verification(
        cluster: TinyRun.configuration(["optimizer.momentum=0.8"], workers: 2, fcNodes: 2),
        reference: TinyRun.configuration(), steps: Self.steps, tolerance: 1e-4))
    #expect(report.firstFinding?.step == 2)
    #expect(report.findings.contains { $0.quantity == .parameter && $0.tensor == "conv1 weight" })
  }

  @Test func `other dropout masks are found in the first loss`() throws {
    let report = try run(
      Verification(
        cluster: TinyRun.configuration(workers: 2, fcNodes: 2),
        reference: TinyRun.configuration(["network.layers[8].rate=0.31"]), steps: 2,
        tolerance: 1e-4))
    #expect(report.firstFinding?.description == "loss at step 0")
  }

  @Test func `data that one side cannot open ends both`() throws {
    let configuration = try TinyRun.configuration([
      "dataset={kind: \"idx\", path: \"/nonexistent\"}"
    ])
    #expect(throws: (any Error).self) {
      _ = try run(
        Verification(
          cluster: try TinyRun.configuration(), reference: configuration, steps: 2,
          tolerance: 1e-4))
    }
  }
}
