import Foundation
import Messages
import Observability
import Testing
import Training
import Transport

@testable import Nodes

/// What operators have made of the learning rate, from one life of the server to the next.
@Suite struct RateFileTests {
  private static let changes = [
    RateChange(firstStep: 3, factor: 0.5), RateChange(firstStep: 90, factor: 0.125),
  ]

  private let log = Logger(descriptor: 2, name: "test", level: .error)
  private let directory: RunDirectory

  init() throws {
    directory = try RunDirectory(NSTemporaryDirectory() + "crosscut-rates-\(UUID().uuidString)")
  }

  private func options(goesOn: Bool) -> ServerOptions {
    var options = ServerOptions(listen: "inproc://server", runDirectory: directory)
    options.goesOn = goesOn
    return options
  }

  @Test func `a run that goes on finds them, another one does not`() throws {
    defer { try? FileManager.default.removeItem(atPath: directory.path) }
    #expect(options(goesOn: true).keptRateChanges(log) == nil)
    try RateFile(in: directory).write(Self.changes)
    #expect(options(goesOn: true).keptRateChanges(log) == Self.changes)
    // What the life before had in memory is the latest.
    var recut = options(goesOn: true)
    recut.rateChanges = Array(Self.changes.prefix(1))
    #expect(recut.keptRateChanges(log) == Array(Self.changes.prefix(1)))
    #expect(options(goesOn: false).keptRateChanges(log) == nil)
    // The file goes with the first start that is sure to begin, not with one that is refused.
    #expect(options(goesOn: true).keptRateChanges(log) == Self.changes)
    try directory.begin(TinyRun.configuration([]), from: nil, goesOn: false) {}
    #expect(options(goesOn: true).keptRateChanges(log) == nil)
  }

  /// The disk had no room for the second change, and has since taken a checkpoint.
  @Test func `a change that only the checkpoint has is not forgotten for the file's sake`() throws {
    defer { try? FileManager.default.removeItem(atPath: directory.path) }
    var manifest = CheckpointManifest(
      run: "01", software: "crosscut", network: "tiny", steps: 95, epoch: 0, seed: 1,
      globalBatch: 8, trainingExamples: 32, evaluationExamples: 8, datasetFingerprint: "02",
      workers: 1, fcNodes: 1, view: 1)
    manifest.rateChanges = Self.changes
    let values: [Float] = [1, 2]
    let path = try values.withUnsafeBufferPointer { values in
      try CheckpointStore(directory: directory.checkpoints, keep: 9).write(
        manifest,
        tensors: [CheckpointTensor(name: "bias", shape: [2], value: values, velocity: values)])
    }
    try RateFile(in: directory).write(Array(Self.changes.prefix(1)))
    var options = options(goesOn: true)
    options.resume = try Checkpoint(path: path)
    #expect(options.keptRateChanges(log) == Self.changes)
    let more = Self.changes + [RateChange(firstStep: 99, factor: 2)]
    try RateFile(in: directory).write(more)
    #expect(options.keptRateChanges(log) == more)
  }

  @Test(arguments: [
    "", "[", "{}", #"[{"firstStep":3}]"#, #"[{"factor":0,"firstStep":3}]"#,
    #"[{"factor":-1,"firstStep":3}]"#,
    #"[{"factor":1,"firstStep":3},{"factor":1,"firstStep":3}]"#,
  ])
  func `a file of another kind is not believed`(text: String) throws {
    defer { try? FileManager.default.removeItem(atPath: directory.path) }
    try text.write(toFile: directory.path + "/rates.json", atomically: true, encoding: .utf8)
    #expect(throws: NodeError.self) { try RateFile(in: directory).read() }
    #expect(options(goesOn: true).keptRateChanges(log) == nil)
  }

  @Test(arguments: [("0.05", 1e308, "large"), ("1000", Double.leastNonzeroMagnitude, "small")])
  func `a rate that no factor makes of the schedule's is not said to be the schedule's fault`(
    scheduled: String, rate: Double, problem: String
  ) throws {
    defer { try? FileManager.default.removeItem(atPath: directory.path) }
    let context = try Context()
    defer { context.terminate() }
    let configuration = try TinyRun.configuration(["optimizer.learningRate=\(scheduled)"])
    let server = try ServerNode(
      context: context, run: RunContext(configuration), options: options(goesOn: false), log: log,
      commands: Mailbox<String>())
    defer { server.abandon() }
    server.validation.rates.totalSteps = 20
    let reply = server.carryOut(.setLearningRate(rate))
    #expect(!reply.ok)
    #expect(reply.text.contains("is too \(problem)"), "\(reply.text)")
    #expect(server.validation.rates.changes.isEmpty)
    #expect(server.carryOut(.setLearningRate(0.025)).ok)
  }
}
