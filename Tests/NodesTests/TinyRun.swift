import Messages
import Configuration
import Observability
import Synchronization
import Testing
import Training

@testable import Nodes

/// A network with one of everything, small enough for many clusters a second.
enum TinyRun {
  static let text = """
    {
      network: {
        input: [2, 9, 9],
        layers: [
          { type: "conv", channels: 8, kernel: 3, padding: 1 }, "relu",
          { type: "lrn", size: 5, alpha: 0.01, beta: 0.75, k: 2 },
          { type: "maxpool", window: 3, stride: 2 },
          { type: "conv", channels: 6, kernel: 3, groups: 2 }, "relu",
          { type: "fc", units: 13 }, "relu",
          { type: "dropout", rate: 0.3 },
          { type: "fc", units: 11 }, "relu",
          { type: "fc", units: 5 },
        ],
      },
      dataset: { kind: "synthetic", examples: 101, testExamples: 33 },
      optimizer: { learningRate: 0.05, momentum: 0.9, weightDecay: 0.0005 },
      globalBatch: 22, steps: 20, seed: 5,
      evaluation: { everySteps: 8 },
      // Dozens of threads on a busy machine: who has to wait for a core is not dead.
      cluster: { chunkBytes: 400, memberTimeoutMilliseconds: 60000 },
      compute: { threadsPerNode: 1 },
    }
    """

  static func configuration(
    _ overrides: [String] = [], workers: Int = 1, fcNodes: Int = 1
  ) throws -> RunConfiguration {
    try RunConfiguration.parse(
      text: text, source: "tiny",
      overrides: (overrides + ["cluster.workers=\(workers)", "cluster.fcNodes=\(fcNodes)"])
        .map { ConfigurationOverride($0) })
  }

  /// Runs a configuration in this process and returns what it did.
  static func train(_ configuration: RunConfiguration) throws -> Record {
    let recorder = Recorder()
    let cluster = try InProcessCluster(
      configuration, observer: recorder, onModel: { recorder.take($0) },
      log: { Logger(descriptor: 2, name: $0, level: .warning) })
    let stop = try cluster.runToEnd()
    #expect(stop.outcome == .finished, "\(stop.reason)")
    return recorder.record
  }

  struct Record: Sendable {
    var losses: [Double] = []
    var evaluations: [(step: UInt64, loss: Double, accuracy: Double)] = []
    var parameters: [String: [Float]] = [:]
  }

  final class Recorder: RunObserver {
    private let state = Mutex(Record())

    var record: Record { state.withLock { $0 } }

    func trained(step: UInt64, loss: Double, accuracy: Double) {
      state.withLock {
        precondition(Int(step) == $0.losses.count, "step \(step) after \($0.losses.count)")
        $0.losses.append(loss)
      }
    }

    func evaluated(step: UInt64, loss: Double, accuracy: Double, top5: Double) {
      state.withLock { $0.evaluations.append((step, loss, accuracy)) }
    }

    func take(_ model: ModelTensors) {
      let copies = model.tensors.map { ($0.name, Array($0.values)) }
      state.withLock { $0.parameters = Dictionary(copies, uniquingKeysWith: { $1 }) }
    }
  }
}
