import Glibc
import Kernels
import Network
import Observability
import Tensors
import Testing
import Training

@testable import Nodes

/// A model that a cluster has trained, read back.
@Suite(.timeLimit(.minutes(30)), .serialized)
struct ModelEvaluationTests {
  /// A folder of its own for each test, gone with it.
  private final class Scratch {
    let path: String

    init() throws {
      var template = Array("/tmp/crosscut-evaluation-XXXXXX".utf8CString)
      path = String(cString: try #require(mkdtemp(&template)))
    }

    deinit {
      for name in ["config.json", "model.safetensors", "metrics.jsonl", "summary.json"] {
        unlink("\(path)/\(name)")
      }
      rmdir(path)
    }
  }

  private let scratch: Scratch
  private let directory: RunDirectory

  init() throws {
    scratch = try Scratch()
    directory = try RunDirectory(scratch.path)
  }

  private func write(_ tensors: [(name: String, shape: [Int], values: [Float])]) throws {
    let buffers = tensors.map {
      UnsafeMutableBufferPointer<Float>.allocate(capacity: $0.values.count)
    }
    defer { for buffer in buffers { buffer.deallocate() } }
    for (buffer, tensor) in zip(buffers, tensors) { _ = buffer.initialize(from: tensor.values) }
    try SafeTensorsWriter().write(
      to: directory.model,
      tensors: zip(tensors, buffers).map { ($0.name, $0.shape, UnsafeBufferPointer($1)) })
  }

  /// The network's tensors, all zero.
  private func zeros() throws -> [(name: String, shape: [Int], values: [Float])] {
    try RunContext(TinyRun.configuration()).network.parameters.entries.map {
      ($0.name, $0.shape.extents, [Float](repeating: 0, count: $0.shape.count))
    }
  }

  private func message() throws -> String {
    do {
      _ = try ModelEvaluation(of: directory.model, TinyRun.configuration(), threads: 1)
      return ""
    } catch {
      return "\(error)".replacing(directory.model, with: "MODEL")
    }
  }

  @Test func `evaluation in one process gives what the cluster reported at the end`() throws {
    let configuration = try TinyRun.configuration(["steps=60"], workers: 2, fcNodes: 2)
    let recorder = TinyRun.Recorder()
    let cluster = try InProcessCluster(
      configuration, runDirectory: directory, observer: recorder,
      log: { Logger(descriptor: 2, name: $0, level: .warning) })
    _ = try cluster.runToEnd()
    let last = try #require(recorder.record.evaluations.last)
    let evaluation = try ModelEvaluation(of: directory.model, configuration, threads: 1)
    #expect(evaluation.examples == 33)
    #expect(evaluation.accuracy == last.accuracy)
    #expect(abs(evaluation.loss - last.loss) < 1e-5)
    #expect(evaluation.top5 == 33, "there are but five classes")
  }

  @Test func `a network of zeros has the loss of guessing`() throws {
    try write(zeros())
    let evaluation = try ModelEvaluation(of: directory.model, TinyRun.configuration(), threads: 1)
    #expect(abs(evaluation.loss - log(5)) < 1e-6)
  }

  @Test func `a missing tensor is named`() throws {
    try write(zeros().filter { $0.name != "classifier.3.bias" })
    #expect(try message() == "MODEL: there is no tensor classifier.3.bias, 11 (fc4)")
  }

  @Test func `a tensor of another shape is named`() throws {
    try write(
      zeros().map { $0.name == "features.4.weight" ? ($0.name, [6, 9, 4], $0.values) : $0 })
    #expect(
      try message() == "MODEL: tensor features.4.weight is 6x9x4, the network's conv2 6x4x3x3")
  }

  @Test func `a tensor that the network has not is named`() throws {
    try write(zeros() + [("classifier.7.weight", [1], [0])])
    #expect(
      try message() == "MODEL: tensor classifier.7.weight is none of the network's parameters")
  }

  @Test func `a truncated file is refused`() throws {
    try write(zeros())
    var status = stat()
    #expect(stat(directory.model, &status) == 0)
    #expect(truncate(directory.model, status.st_size - 4) == 0)
    #expect(try message().hasPrefix("MODEL: "))
    #expect(truncate(directory.model, 5) == 0)
    #expect(try message() == "MODEL: 5 bytes, too short for the header's length")
  }

  @Test func `a run goes on from given parameters`() throws {
    // No step at a learning rate this small leaves a trace in a float.
    let configuration = try TinyRun.configuration(
      ["steps=1", "optimizer.learningRate=1e-30", "optimizer.weightDecay=0"], workers: 2, fcNodes: 3
    )
    let context = try RunContext(configuration)
    var start: [String: [Float]] = [:]
    for entry in context.network.parameters.entries {
      start[entry.name] = (0..<entry.shape.count).map { 0.01 * Float($0 % 7) - 0.025 }
    }
    let recorder = TinyRun.Recorder()
    let cluster = try InProcessCluster(
      configuration, inputs: RunInputs(parameters: .given(start)),
      onModel: { recorder.take($0) },
      log: { Logger(descriptor: 2, name: $0, level: .warning) })
    _ = try cluster.runToEnd()
    let names = start.keys.filter { recorder.record.parameters[$0] != start[$0] }
    #expect(names.isEmpty && recorder.record.parameters.count == start.count)
  }

  @Test func `starting parameters that do not fit end the run by name`() throws {
    let cluster = try InProcessCluster(
      TinyRun.configuration(), inputs: RunInputs(parameters: .given(["features.0.weight": []])),
      log: { Logger(descriptor: 2, name: $0, level: .error) })
    let error = #expect(throws: NodeError.self) { _ = try cluster.runToEnd() }
    #expect(
      error?.message
        == "starting parameters: tensor features.0.weight is 0 values, the network's conv1 8x2x3x3")
  }
}

/// What rounding explains.
@Suite struct RoundingNoiseTests {
  @Test func `rounding explains differences in the last bits and no others`() throws {
    ComputeThreads.use(1)
    let trainer = try SingleProcessTrainer(RunContext(TinyRun.configuration()))
    _ = try trainer.computeGradients()
    let before = trainer.gradients().map {
      Array(UnsafeBufferPointer(start: $0.values, count: $0.entry.shape.count))
    }
    let large = try #require(before[0].map(\.magnitude).max()) / 100
    #expect(try RoundingNoise.explained([0: 1e-9, 3: 1e-9], trainer, part: 0) == [0, 3])
    #expect(try RoundingNoise.explained([0: large, 3: 1e-9], trainer, part: 0) == [3])
    #expect(try RoundingNoise.explained([0: .infinity], trainer, part: 0) == [])
    let after = trainer.gradients().map {
      Array(UnsafeBufferPointer(start: $0.values, count: $0.entry.shape.count))
    }
    #expect(before == after)
  }
}
