import Foundation
import Testing

/// `verify` and `evaluate` as users call them.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct VerifyTests {
  private static let network = """
    {
      network: {
        input: [1, 8, 8],
        layers: [
          { type: "conv", channels: 4, kernel: 3 }, "relu",
          { type: "fc", units: 16 }, "relu", { type: "fc", units: 4 },
        ],
      },
      dataset: { kind: "synthetic", examples: 400, testExamples: 64 },
      globalBatch: 16, steps: 20,
    }
    """

  private let scratch: Scratch
  private let configuration: String

  init() throws {
    scratch = try Scratch()
    configuration = "\(scratch.path)/tiny.json5"
    try Self.network.write(toFile: configuration, atomically: true, encoding: .utf8)
  }

  @Test func `verify exits with 0 when all is well and with 1 when it is not`() throws {
    let shape = ["--workers", "2", "--fc-nodes", "3", "--steps", "5"]
    let healthy = try Program(["verify", configuration] + shape)
    #expect(healthy.finish() == 0)
    #expect(healthy.output.hasSuffix("the same within 1.0e-04 over 5 steps\n"), "\(healthy.output)")
    // What bf16 rounds would be differences of a percent.
    let formats = ["activations", "gradients", "parameters"].flatMap {
      ["--set", "wire.\($0)=bf16"]
    }
    let rounded = try Program(["verify", configuration] + shape + formats)
    #expect(rounded.finish() == 0 && rounded.output.contains("with fp32 on the wire"))
    // Finer than float: sums over two workers and three fc nodes cannot be as equal as that.
    let strict = try Program(["verify", configuration, "--tolerance", "1e-12"] + shape)
    #expect(strict.finish() == 1)
    #expect(strict.output.contains("first difference: "), "\(strict.output)")
  }

  @Test func `evaluate reads a run directory and a model file alike`() throws {
    let run = "\(scratch.path)/run"
    let train = try Program([
      "train", configuration, "--in-process", "--run-dir", run, "--workers", "2",
    ])
    #expect(train.finish() == 0, "\(train.output)")
    let (code, text) = try Program.run("evaluate", run, "--json")
    #expect(code == 0, "\(text)")
    let (again, other) = try Program.run(
      "evaluate", "\(run)/model.safetensors", configuration, "--json")
    #expect(again == 0, "\(other)")
    func record(_ text: String) throws -> [String: Double] {
      let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
      return try #require(object).compactMapValues { $0 as? Double }
    }
    let (first, second) = (try record(text), try record(other))
    #expect(first["examples"] == 64)
    #expect(first["loss"] == second["loss"] && first["top1Accuracy"] == second["top1Accuracy"])
    #expect(try Program.run("evaluate", "\(scratch.path)/none").code == 1)
  }
}
