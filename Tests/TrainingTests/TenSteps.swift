import Configuration
import Datasets
import Kernels
import Messages
import Nodes
import Observability
import Synchronization
import Tensors
import Testing
import Training

/// `Golden/ten_steps.safetensors`: ten steps that PyTorch has done, as a run of ours.
struct TenSteps {
  static let steps = 10
  static let batch = 8

  let file: SafeTensorsReader
  /// "pytorch" or "paper-2012".
  let rule: String

  init(_ rule: String) throws {
    self.rule = rule
    let folder = #filePath.split(separator: "/").dropLast().joined(separator: "/")
    file = try SafeTensorsReader(path: "/\(folder)/Golden/ten_steps.safetensors")
  }

  func configuration(workers: Int = 1, fcNodes: Int = 1) throws -> RunConfiguration {
    try RunConfiguration.parse(
      text: """
        {
          network: {
            input: [2, 9, 9],
            layers: [
              { type: "conv", channels: 8, kernel: 3, padding: 1, groups: 2 }, "relu",
              { type: "lrn", size: 5, alpha: 0.1, beta: 0.75, k: 2 },
              { type: "maxpool", window: 3, stride: 2 },
              { type: "conv", channels: 6, kernel: 3 }, "relu",
              { type: "fc", units: 13 }, "relu",
              { type: "fc", units: 5 },
            ],
          },
          dataset: { kind: "synthetic" },
          optimizer: {
            learningRate: 0.1, momentum: 0.9, weightDecay: 0.005, rule: "\(rule)",
            biasLearningRateFactor: 2, biasWeightDecay: false,
            decay: { kind: "steps", atFractions: [0.3, 0.6], factor: 0.4 },
          },
          globalBatch: \(Self.batch), steps: \(Self.steps), seed: 3,
          evaluation: { everyEpochs: 0, atEnd: false },
          cluster: {
            workers: \(workers), fcNodes: \(fcNodes), chunkBytes: 400,
            memberTimeoutMilliseconds: 60000,
          },
          compute: { threadsPerNode: 1 },
        }
        """, source: "ten steps")
  }

  /// The weights that PyTorch started from, and its images where this run's order looks for them.
  func inputs(seed: UInt64) throws -> RunInputs {
    var start: [String: [Float]] = [:]
    for name in file.names where name.hasPrefix("start.") {
      start[String(name.dropFirst("start.".count))] = try file.tensor(named: name).values
    }
    let (shape, images) = try file.tensor(named: "images")
    let labels = try file.tensor(named: "labels").values.map { Int32($0) }
    let size = shape.dropFirst().reduce(1, *)
    var placedImages = [Float](repeating: 0, count: images.count)
    var placedLabels = [Int32](repeating: 0, count: labels.count)
    let order = ExampleOrder(seed: seed, count: labels.count)
    for position in labels.indices {
      let example = order.example(at: UInt64(position))
      placedLabels[example] = labels[position]
      placedImages.replaceSubrange(
        example * size..<(example + 1) * size, with: images[position * size..<(position + 1) * size]
      )
    }
    let source = InMemorySource(
      shape: Shape(Array(shape.dropFirst())), classes: 5, images: placedImages,
      labels: placedLabels)
    return RunInputs(
      parameters: .given(start), dataset: try DatasetPair(train: source, test: source))
  }

  /// What a run of these steps has made.
  final class Record: RunObserver {
    private let state = Mutex<(losses: [Double], parameters: [String: [Float]])>(([], [:]))

    var losses: [Double] { state.withLock { $0.losses } }
    var parameters: [String: [Float]] { state.withLock { $0.parameters } }

    func trained(step: UInt64, loss: Double, accuracy: Double) {
      state.withLock { $0.losses.append(loss) }
    }

    func evaluated(step: UInt64, loss: Double, accuracy: Double, top5: Double) {}

    func take(_ model: ModelTensors) {
      let copies = model.tensors.map { ($0.name, Array($0.values)) }
      state.withLock { $0.parameters = Dictionary(copies, uniquingKeysWith: { $1 }) }
    }
  }

  func trainInOneProcess() throws -> Record {
    ComputeThreads.use(1)
    let configuration = try configuration()
    let record = Record()
    let trainer = try SingleProcessTrainer(
      RunContext(configuration, inputs: inputs(seed: configuration.seed)), observer: record)
    try trainer.run()
    record.take(trainer.model)
    return record
  }

  func train(workers: Int, fcNodes: Int) throws -> Record {
    let configuration = try configuration(workers: workers, fcNodes: fcNodes)
    let record = Record()
    let cluster = try InProcessCluster(
      configuration, inputs: inputs(seed: configuration.seed), observer: record,
      onModel: { record.take($0) },
      log: { Logger(descriptor: 2, name: $0, level: .warning) })
    let stop = try cluster.runToEnd()
    #expect(stop.outcome == .finished, "\(stop.reason)")
    return record
  }

  /// Expects PyTorch's losses and final weights, these relative to how far training moved them.
  func expectPyTorch(_ record: Record) throws {
    let losses = try file.tensor(named: "\(rule).losses").values
    #expect(record.losses.count == Self.steps)
    for (step, (loss, expected)) in zip(record.losses, losses).enumerated() {
      #expect(abs(loss - Double(expected)) < 1e-5, "step \(step): \(loss), not \(expected)")
    }
    let names = file.names.filter { $0.hasPrefix("start.") }.map { $0.dropFirst("start.".count) }
    #expect(record.parameters.keys.sorted() == names.map(String.init).sorted())
    for name in names {
      let start = try file.tensor(named: "start.\(name)").values
      let expected = try file.tensor(named: "\(rule).final.\(name)").values
      let values = try #require(record.parameters[String(name)])
      #expect(values.count == expected.count)
      let moved = zip(expected, start).map { abs($0 - $1) }.max() ?? 0
      let off = zip(values, expected).map { abs($0 - $1) }.max() ?? .infinity
      #expect(off < 2e-5 * moved, "\(name): off by \(off), moved by \(moved)")
    }
  }
}
