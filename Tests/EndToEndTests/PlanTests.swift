import Foundation
import Testing

/// `crosscut plan` as users call it; kernels by `--flops`, so that every machine prints the same.
@Suite(.timeLimit(.minutes(30))) struct PlanTests {
  private static func plan(_ arguments: String...) throws -> (code: Int32, output: String) {
    let program = try Program(["plan", "--flops", "1e11"] + arguments)
    return (program.finish(), program.output)
  }

  private static func json(_ arguments: String...) throws -> [String: Any] {
    let program = try Program(["plan", "--flops", "1e11", "--json"] + arguments)
    #expect(program.finish() == 0, "\(program.output)")
    return try #require(
      try JSONSerialization.jsonObject(with: Data(program.output.utf8)) as? [String: Any])
  }

  @Test func `tables name each layer's cut, the step, the rivals and the advice`() throws {
    let (code, text) = try Self.plan(
      "alexnet-owt", "--workers", "4", "--fc-nodes", "4", "--layout", "beside", "--set",
      "globalBatch=128")
    #expect(code == 0)
    #expect(text.hasPrefix("alexnet-owt: 4 workers, 4 FC nodes (beside, 4 machines), batch 128"))
    for part in [
      "\nfc6    scatter-output  auto: ", "\nfc7    gather-input", "\nthe busiest machine",
      "together: the critical path", "ring all-reduce", "\n   4096 ",
      "\nRecommended for 4 workers: ",
      "\nUp to ",

    ] {
      #expect(text.contains(part), "\(part) is not in\n\(text)")
    }
    let slow = try Self.plan("alexnet-owt", "--workers", "4", "--link", "200mbit")
    #expect(slow.output.contains("\nWith bf16 on the wire (--set wire."), "\(slow.output)")
    // But for the command line of the advice.
    #expect(text.split(separator: "\n").filter { $0.count > 110 }.count <= 2)
  }

  @Test func `JSON has every layer, and its bytes add up`() throws {
    let plan = try Self.json("alexnet-owt", "--workers", "2", "--fc-nodes", "2")
    let conv = try #require(plan["convLayers"] as? [[String: Any]])
    #expect(conv.compactMap { $0["name"] as? String }.count >= 5)
    let parameters = conv.compactMap { $0["parameters"] as? Int }.reduce(0, +)
    #expect(parameters == 2_469_696)
    #expect(conv.compactMap { $0["bytesPerStep"] as? Int }.reduce(0, +) == 8 * parameters)
    #expect((plan["layers"] as? [[String: Any]])?.count == 3)
    let most = plan["mostWorkersAtEfficiency"] as? [String: Any]
    #expect(most?["workers"] as? Int ?? -1 >= 0)
    #expect((plan["forecast"] as? [[String: Any]])?.last?["workers"] as? Int == 4096)
  }

  @Test func `a mirror has its bytes`() throws {
    func sent(_ plan: [String: Any]) throws -> Int {
      let bytes = try #require(plan["bytesPerStep"] as? [String: Any])
      return try #require((bytes["fcNode"] as? [String: Any])?["sent"] as? Int)
    }
    let shape = ["alexnet-owt", "--fc-nodes", "2", "--set", "globalBatch=32"]
    let plain = try Self.json(shape[0], shape[1], shape[2], shape[3], shape[4])
    let mirrored = try Self.json(shape[0], shape[1], shape[2], shape[3], shape[4], "--fc-mirror")
    // Half of each layer's inputs if it scatters its outputs, of its outputs if not (docs/design.md).
    #expect(try sent(mirrored) - sent(plain) == 32 * 4 * (9216 + 4096 + 4096) / 2)
  }

  @Test func `a network without conv layers has a plan too`() throws {
    let scratch = try Scratch()
    let file = "\(scratch.path)/dense.json5"
    try """
    { network: { input: [1, 8, 8], layers: [ { type: "fc", units: 16 }, "relu",
      { type: "fc", units: 4 } ] },
      dataset: { kind: "synthetic", examples: 400, testExamples: 64 }, globalBatch: 16, steps: 20 }
    """.write(toFile: file, atomically: true, encoding: .utf8)
    for layout in ["separate", "beside"] {
      let (code, text) = try Self.plan(file, "--workers", "2", "--layout", layout)
      #expect(code == 0 && text.contains("together: the critical path"), "\(text)")
    }
  }

  @Test func `the step and the curves are drawn`() throws {
    let scratch = try Scratch()
    let file = "\(scratch.path)/plan.svg"
    let (code, text) = try Self.plan("lenet5", "--workers", "2", "--plot", file)
    #expect(code == 0, "\(text)")
    let svg = try String(contentsOfFile: file, encoding: .utf8)
    #expect(svg.hasPrefix("<svg") || svg.hasPrefix("<?xml"))
    let parser = XMLCheck(svg)
    #expect(parser.isWellFormed && parser.elements > 50, "\(parser.elements) elements")
  }

  @Test func `what cannot be is refused in one line`() throws {
    for (arguments, expected) in [
      (["--link", "fast"], "--link \"fast\": expected a rate like 200mbit"),
      (["--layout", "round"], "--layout \"round\": expected separate or beside"),
      (["--hosts-share", "2", "--cores-per-host", "4"], "exclude each other"),
      (["--plot", "/nowhere/plan.svg"], "/nowhere/plan.svg"),
    ] {
      let program = try Program(["plan", "lenet5", "--flops", "1e10"] + arguments)
      let code = program.finish()
      #expect(code == (arguments[0] == "--plot" ? 1 : 2))
      #expect(program.output.contains(expected), "\(program.output)")
    }
  }
}

/// Whether a text is well-formed XML as far as a stack of tags tells.
private struct XMLCheck {
  private(set) var isWellFormed = true
  private(set) var elements = 0

  init(_ text: String) {
    var open: [Substring] = []
    for tag in text.matches(of: /<(\/?)([A-Za-z][A-Za-z0-9:-]*)[^<>]*?(\/?)>/) {
      elements += 1
      if tag.output.1 == "/" {
        if open.popLast() != tag.output.2 { isWellFormed = false }
      } else if tag.output.3.isEmpty {
        open.append(tag.output.2)
      }
    }
    isWellFormed = isWellFormed && open.isEmpty
  }
}
