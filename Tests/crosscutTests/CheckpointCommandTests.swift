import Configuration
import Foundation
import Testing
import Training

@testable import crosscut

@Suite struct CheckpointCommandTests {
  /// A run directory with checkpoints of steps 100 and 200, gone with it.
  private final class Run {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("crosscut-\(UUID().uuidString)").path
    var checkpoints: String { path + "/checkpoints" }
    var newest: String { checkpoints + "/step-00000200" }

    init() throws {
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true)
      let values: [Float] = [1, 2]
      for steps in [100, 200] as [UInt64] {
        let manifest = CheckpointManifest(
          run: "c0ffee", software: "crosscut 0.1.0", network: "tiny\u{1b}[31m", steps: steps,
          epoch: Double(steps) / 80, seed: 7, globalBatch: 8, trainingExamples: 640,
          evaluationExamples: 64, datasetFingerprint: "feed", workers: 2, fcNodes: 3, view: 4,
          loss: 0.98765, testAccuracy: steps == 200 ? 0.75 : nil,
          history: ["view 2: lost worker 1", "view 4: fc node 2 replaced"])
        _ = try values.withUnsafeBufferPointer { values in
          try CheckpointStore(directory: checkpoints, keep: 2).write(
            manifest,
            tensors: [
              CheckpointTensor(name: "a.weight", shape: [2], value: values, velocity: values)
            ])
        }
      }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Flips the last bit of the newest optimizer state.
    func damage() throws {
      let url = URL(fileURLWithPath: newest + "/optimizer.safetensors")
      var bytes = try Data(contentsOf: url)
      bytes[bytes.count - 1] ^= 1
      try bytes.write(to: url)
    }
  }

  @Test func `a run directory, its folder and one checkpoint are all understood`() throws {
    let run = try Run()
    for path in [run.path, run.path + "/", run.checkpoints] {
      #expect(try CheckpointStore.find(path).map(\.steps) == [200, 100])
    }
    #expect(try CheckpointStore.find(run.newest).map(\.path) == [run.newest])
    // By any name.
    try FileManager.default.moveItem(atPath: run.newest, toPath: run.path + "/best")
    #expect(try CheckpointStore.find(run.path + "/best").map(\.steps) == [200])
  }

  @Test func `what was put aside is listed, and marked`() throws {
    let run = try Run()
    try FileManager.default.moveItem(atPath: run.newest, toPath: run.newest + ".aside-2")
    #expect(try CheckpointStore.find(run.path).map(\.steps) == [100])
    let table = CheckpointTable(try CheckpointStore.find(run.path, withAside: true))
    let lines = table.text.split(separator: "\n").map { $0.split(separator: " ").prefix(2) }
    #expect(
      lines.dropFirst() == [["step-00000100", "100"], ["step-00000200.aside-2", "200"]],
      "\(table.text)")
    let marks = table.json.prettyText.split(separator: "\n").filter { $0.contains("aside\"") }
    #expect(marks.map { $0.contains("true") } == [false, true], "\(marks)")
    #expect(table.isGood)
  }

  @Test func `where there is no checkpoint, or no directory, that is said`() throws {
    let run = try Run()
    for command in [CheckpointCommand.list, CheckpointCommand.verify, CheckpointCommand.show].map(
      \.name)
    {
      #expect(
        CommandLineInterfaceTests.error("\(command) \(run.path)/nowhere")
          == "\(run.path)/nowhere: no such directory")
      #expect(CommandLineInterfaceTests.error(command) == "crosscut \(command): missing DIR")
    }
    try FileManager.default.removeItem(atPath: run.checkpoints)
    #expect(
      CommandLineInterfaceTests.error("checkpoint list \(run.path)")
        == "\(run.path): there is no checkpoint")
  }

  @Test func `the table has a line for each and the reasons below`() throws {
    let run = try Run()
    let table = CheckpointTable(try CheckpointStore.find(run.path))
    #expect(table.isGood)
    #expect(
      table.text == """
        checkpoint     steps  epoch    loss  accuracy    size
        step-00000200    200   2.50  0.9877    0.7500  0.0 MB
        step-00000100    100   1.25  0.9877         -  0.0 MB

        """)
    let file = run.newest + "/model.safetensors"
    try FileManager.default.removeItem(atPath: file)
    let damaged = CheckpointTable(try CheckpointStore.find(run.path))
    #expect(!damaged.isGood)
    #expect(
      damaged.text == """
        checkpoint       steps  epoch    loss  accuracy    size
        step-00000200  refused
        step-00000100      100   1.25  0.9877         -  0.0 MB

        \(file): cannot be opened: no such file or directory

        """)
    guard case .array(let rows) = damaged.json else {
      Issue.record("no list")
      return
    }
    #expect(rows.map { $0["good"] } == [.bool(false), .bool(true)])
    #expect(rows[0]["file"] == .string(file))
    #expect(rows[1]["steps"] == .int(100))
  }

  @Test func `verify tells the best one as list does`() throws {
    let run = try Run()
    try CheckpointStore(directory: run.checkpoints, keep: 2).mark(best: 100)
    let listed = try CheckpointStore.find(run.path)
    let verified = CheckpointTable(CheckpointCommand.verified(listed))
    for table in [CheckpointTable(listed), verified] {
      guard case .array(let rows) = table.json else {
        Issue.record("no list")
        return
      }
      #expect(rows.map { $0["best"] } == [.bool(false), .bool(true)])
    }
    #expect(
      verified.verdicts.contains("step-00000100: good, step 100, 0.0 MB (best)\n"),
      "\(verified.verdicts)")
  }

  @Test func `verify ends with 1 if one bit is wrong`() throws {
    let run = try Run()
    func verify(_ path: String) throws -> Int32 {
      try CommandLineInterfaceTests.run("checkpoint verify \(path)").status
    }
    #expect(try verify(run.path) == ExitCode.success)
    try run.damage()
    #expect(try verify(run.path) == ExitCode.failure)
    #expect(try verify(run.newest) == ExitCode.failure)
    #expect(try verify(run.checkpoints + "/step-00000100") == ExitCode.success)
  }

  @Test func `show has the manifest and the history, and nothing that steers a terminal`() throws {
    let run = try Run()
    let manifest = try CheckpointStore.find(run.newest)[0].manifest.get()
    let text = CheckpointTable.text(of: manifest, path: run.newest, width: 80)
    #expect(!text.contains("\u{1b}"))
    #expect(text.contains("network        tiny?[31m\n"))
    #expect(text.contains("steps          200 (epoch 2.50)\n"))
    #expect(text.contains("cluster        workers 2, FC nodes 3, view 4\n"))
    #expect(
      text.hasSuffix(
        "\nHistory:\n  view 2: lost worker 1\n  view 4: fc node 2 replaced\n"))
  }
}
