import Configuration
import Kernels
import Network
import Synchronization
import Testing
import Training

/// Runs whose length or learning rate goes by the validation error, in one process.
@Suite struct ValidationDrivenTests {
  final class Record: RunObserver {
    private let state = Mutex<(steps: Int, errors: [Double])>((0, []))
    var steps: Int { state.withLock { $0.steps } }
    var errors: [Double] { state.withLock { $0.errors } }

    func trained(step: UInt64, loss: Double, accuracy: Double) {
      state.withLock { $0.steps += 1 }
    }

    func evaluated(step: UInt64, loss: Double, accuracy: Double, top5: Double) {
      state.withLock { $0.errors.append(1 - accuracy) }
    }
  }

  static func trainer(
    _ extra: String, rate: Double, _ record: Record
  ) throws -> SingleProcessTrainer {
    let configuration = try RunConfiguration.parse(
      text: """
        {
          network: { input: [1, 4, 4], layers: [{ type: 'conv', channels: 2, kernel: 3 }, 'relu',
            { type: 'fc', units: 3 }] },
          dataset: { kind: 'synthetic', examples: 12, testExamples: 6 },
          globalBatch: 4, steps: 20, optimizer: { learningRate: \(rate), \(extra) },
          evaluation: { everySteps: 2, earlyStop: \(extra.isEmpty ? "3" : "null") },
          compute: { threadsPerNode: 1 },
        }
        """, source: "test")
    return try SingleProcessTrainer(RunContext(configuration), observer: record)
  }

  /// With no rate to speak of the error never falls: the first evaluation is the best.
  @Test func `an early stop ends the run after the evaluation that shows it`() throws {
    let record = Record()
    let trainer = try Self.trainer("", rate: 1e-12, record)
    try trainer.run()
    #expect(record.errors.count == 4)
    #expect(record.steps == 8)
    #expect(trainer.validation.sinceBest == 3)
  }

  @Test func `a plateau lowers the rate of the steps that follow`() throws {
    let record = Record()
    let trainer = try Self.trainer(
      "decay: { kind: 'plateau', patience: 2, reductions: 2 }", rate: 1e-12, record)
    try trainer.run()
    #expect(record.steps == 20)
    #expect(trainer.validation.reductions == 2)
    let context = trainer.context
    let entry = try #require(context.network.parameters.entries.first)
    let rates = (0...2).map {
      context.sgd(entry, step: 3, of: 20, reductions: $0).learningRate
    }
    #expect(rates.map { ($0 / 1e-12 * 1000).rounded() } == [1000, 100, 10])
  }
}
