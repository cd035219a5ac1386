import Foundation
import Observability
import Tensors
import Testing
import Training

/// A folder with a configuration of a network that trains hundreds of steps a second, and the run
/// that tests make of it.
final class TinyCluster {
  private static let network = """
    {
      network: {
        name: "tiny", input: [1, 8, 8],
        layers: [
          { type: "conv", channels: 4, kernel: 3 }, "relu", { type: "maxpool", window: 2, stride: 2 },
          { type: "fc", units: 16 }, "relu", { type: "dropout", rate: 0.2 }, { type: "fc", units: 4 },
        ],
      },
      dataset: { kind: "synthetic", examples: 400, testExamples: 64 },
      globalBatch: 16, steps: 60, evaluation: { everySteps: 30 },
      // Nobody is taken for dead only because a busy machine lets him wait; where silence is what a
      // test is about, it says so.
      cluster: { workers: 2, fcNodes: 2, memberTimeoutMilliseconds: 60000 },
    }
    """

  /// Who is silent is taken for dead within seconds, as by itself.
  static let noticesSilence = ["--set", "cluster.memberTimeoutMilliseconds=2800"]
  /// The same for tests in which nobody is to be: a busy machine leaves some process without a core
  /// for seconds.
  static let noticesLongSilence = ["--set", "cluster.memberTimeoutMilliseconds=8000"]
  /// Longer than that, milliseconds. There is no event to wait for.
  static let longSilence: Int32 = 11_000

  let scratch: Scratch
  let configuration: String
  let run: String

  init() throws {
    scratch = try Scratch()
    configuration = "\(scratch.path)/tiny.json5"
    run = "\(scratch.path)/run"
    try Self.network.write(toFile: configuration, atomically: true, encoding: .utf8)
  }

  /// `crosscut train` on a free port.
  ///
  /// - Parameter shell: what a shell does before.
  func train(
    _ more: [String] = [], runDirectory: String? = nil, shell: String? = nil
  ) throws -> Program {
    try Program(
      [
        "train", configuration, "--run-dir", runDirectory ?? run, "--listen", "tcp://127.0.0.1:0",
      ] + more, shell: shell)
  }

  /// What a file of the scratch folder holds.
  func text(_ name: String) -> String { scratch.text(name) }

  /// The server's address once it has written it.
  func address() throws -> String {
    let file = "\(run)/server.address"
    #expect(eventually { FileManager.default.fileExists(atPath: file) })
    return try String(contentsOfFile: file, encoding: .utf8)
      .trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// Waits until the run has passed a step.
  ///
  /// - Parameter program: `crosscut train` of a run that will be over soon.
  /// - Throws: `TooLate` if it is over.
  func reach(
    step: UInt64, at server: String, while program: Program? = nil
  ) throws -> StatusRecord {
    var last: StatusRecord?
    let reached = eventually {
      guard program?.isRunning ?? true else { return true }
      guard let (code, text) = try? Program.run("status", "--server", server, "--json"), code == 0,
        let record = try? StatusRecord.decode(Array(text.utf8))
      else { return false }
      last = record
      return record.step >= step
    }
    if let program, !program.isRunning { throw TooLate() }
    #expect(reached, "\(String(describing: last))")
    return try #require(last)
  }

  /// Waits until a run that will be over soon has passed a step; what is known of its nodes.
  ///
  /// They are asked for at the beginning, and then the ledger is followed. To ask for the status
  /// takes a process, and until that has started on a busy machine the run would have ended.
  ///
  /// - Throws: `TooLate` if it has.
  func catchUp(step: UInt64, at server: String, while program: Program) throws -> StatusRecord {
    var record = try reach(step: 1, at: server, while: program)
    let reached = eventually {
      record.step = max(record.step, committedSteps)
      return record.step >= step || !program.isRunning
    }
    guard program.isRunning else { throw TooLate() }
    #expect(reached, "\(record)")
    return record
  }

  /// The last step of the run's ledger.
  var committedSteps: UInt64 {
    let end = String(decoding: scratch.text("run/ledger.jsonl").utf8.suffix(4096), as: UTF8.self)
    let line = end.split(separator: "\n").last { $0.contains(#""kind":"step""#) }
    return (line?.firstMatch(of: /"step":(\d+)/)?.1).flatMap { UInt64($0) } ?? 0
  }

  /// The run's server process.
  func serverProcess() -> Int32? { process("server") }

  /// The process of one of the run's nodes, "fc-1": so `crosscut train` calls it.
  func process(_ name: String) -> Int32? {
    processes(of: [run]).first { process in
      let data = FileManager.default.contents(atPath: "/proc/\(process)/cmdline") ?? Data()
      let words = data.split(separator: 0).prefix(2).map { String(decoding: $0, as: UTF8.self) }
      return words.first == name || (name == "server" && words.last == name)
    }
  }

  /// Nobody who knows the run is left.
  func expectNoOrphans(_ server: String, _ location: SourceLocation = #_sourceLocation) {
    #expect(
      eventually { processes(of: [run, server]).isEmpty },
      "left over: \(processes(of: [run, server]))", sourceLocation: location)
  }
}

extension TinyCluster {
  /// Steps of a gentle run.
  static let steps: UInt64 = 800
  /// A small rate, so that sums in another order are not blown up over the steps.
  static let gentle = [
    "--set", "optimizer.learningRate=0.0005", "--set", "checkpoint.everySteps=100", "--set",
    "steps=\(steps)",
  ]

  /// What the gentle run comes to that nothing disturbs: the same for all tests.
  private struct Outcome {
    let parameters: [(name: String, values: [Float])]
    let evaluations: [MetricsLog.Evaluation]

    init(_ precision: NumberFormat) throws {
      let cluster = try TinyCluster()
      let program = try cluster.train(gentle + ["--set", "precision=\(precision)"])
      #expect(program.finish() == 0, "\(program.output)")
      let model = try SafeTensorsReader(path: "\(cluster.run)/model.safetensors")
      parameters = try model.names.map { (name: $0, values: try model.tensor(named: $0).values) }
      evaluations = cluster.evaluations
      // After each thirtieth step, and at the end.
      #expect(evaluations.count == 27, "\(evaluations)")
    }
  }

  private static let undisturbed = Result { try Outcome(.fp32) }
  private static let undisturbedInHalf = Result { try Outcome(.bf16) }

  /// All evaluations of the run, also those that were done again after a death.
  private var evaluations: [MetricsLog.Evaluation] {
    text("run/metrics.jsonl").split(separator: "\n").compactMap {
      // Its kind says which it is; a line that a killed server left torn says nothing.
      let line = try? JSONDecoder().decode(MetricsLog.Evaluation.self, from: Data($0.utf8))
      return line?.kind == "evaluation" ? line : nil
    }
  }

  /// Checks that the run's model is that of the undisturbed one, and that it got there the same way.
  func expectUndisturbed(
    within tolerance: Float, _ precision: NumberFormat = .fp32,
    _ location: SourceLocation = #_sourceLocation
  ) throws {
    let found = try SafeTensorsReader(path: "\(run)/model.safetensors")
    let expected = try (precision == .fp32 ? Self.undisturbed : Self.undisturbedInHalf).get()
    #expect(found.names == expected.parameters.map(\.name), sourceLocation: location)
    for (name, values) in expected.parameters {
      let difference = zip(values, try found.tensor(named: name).values).map { abs($0 - $1) }.max()
      #expect(difference ?? 0 <= tolerance, "\(name)", sourceLocation: location)
    }
    expectCurve(expected.evaluations, within: Double(tolerance), location)
    let audit = try Program.run("audit", run)
    #expect(audit.code == 0, "\(audit.output)", sourceLocation: location)
    #expect(
      audit.output.contains("every example of every step was applied exactly once"),
      "\(audit.output)", sourceLocation: location)
    #expect(audit.output.contains("\(Self.steps) steps of 16"), sourceLocation: location)
  }

  /// Checks the test loss and accuracy after each evaluated step, as often as it was evaluated.
  private func expectCurve(
    _ expected: [MetricsLog.Evaluation], within tolerance: Double, _ location: SourceLocation
  ) {
    let found = evaluations
    #expect(
      Set(found.map(\.step)) == Set(expected.map(\.step)), "other steps were evaluated",
      sourceLocation: location)
    // All parameters together have a part in the loss, and may turn one example of 64.
    let example = tolerance == 0 ? 0 : 1.0 / 64
    for one in found {
      guard let calm = expected.first(where: { $0.step == one.step }) else { continue }
      #expect(
        abs(one.loss - calm.loss) <= 10 * tolerance
          && abs(one.accuracy - calm.accuracy) <= example,
        "\(one) instead of \(calm)", sourceLocation: location)
    }
  }
}
