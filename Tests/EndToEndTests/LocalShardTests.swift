import Foundation
import Testing

/// Workers that have only some shards of a prepared data set, as processes in folders of their own.
@Suite(.timeLimit(.minutes(30)), .serialized) struct LocalShardTests {
  private static let network = """
    {
      network: {
        name: "tiny", input: [3, 32, 32],
        layers: [
          { type: "conv", channels: 4, kernel: 5, stride: 2 }, "relu",
          { type: "maxpool", window: 2, stride: 2 },
          { type: "fc", units: 16 }, "relu", { type: "dropout", rate: 0.2 }, { type: "fc", units: 10 },
        ],
      },
      dataset: {
        kind: "prepared", path: "data", shardGroups: 2, augmentation: { padding: 2, flip: true },
      },
      schedule: { kind: "round-robin" },
      globalBatch: 10, steps: 40, evaluation: { everySteps: 20 },
      cluster: { workers: 2, fcNodes: 1 },
    }
    """

  /// CIFAR's binary files with a few pictures that differ.
  static func makeSource(_ folder: String) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let names = (1...5).map { "data_batch_\($0)" } + ["test_batch"]
    for (number, name) in names.enumerated() {
      var bytes: [UInt8] = []
      for record in 0..<8 {
        bytes.append(UInt8((number + record) % 10))
        let factor = number * 8 + record + 3
        for pixel in 0..<3072 { bytes.append(UInt8(truncatingIfNeeded: pixel * factor)) }
      }
      try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/\(name).bin"))
    }
  }

  /// A machine's folder with the data but for the training shards that `leaves` names.
  private static func makeMachine(
    _ folder: String, from whole: String, leaves: (Int) -> Bool
  ) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: whole, toPath: "\(folder)/data")
    for shard in 0..<8 where leaves(shard) {
      try FileManager.default.removeItem(atPath: "\(folder)/data/train-00000\(shard).tar")
    }
  }

  @Test func `workers with their own shards train what one process with all of them does`() throws {
    let scratch = try Scratch()
    let root = scratch.path
    try Self.makeSource("\(root)/source")
    try Self.network.write(
      toFile: "\(root)/tiny.json5", atomically: true, encoding: .utf8)
    try FileManager.default.createDirectory(
      atPath: "\(root)/whole", withIntermediateDirectories: true)
    let prepared = try Program.run(
      "data", "prepare", "\(root)/source", "--out", "\(root)/whole/data", "--shard-examples", "5")
    #expect(prepared.code == 0, "\(prepared.output)")

    let single = try Program(
      [
        "train", "\(root)/tiny.json5", "--in-process", "--workers", "1", "--run-dir",
        "\(root)/single", "--listen", "tcp://127.0.0.1:0",
      ], directory: "\(root)/whole")
    #expect(single.finish() == 0, "\(single.output)")

    try Self.makeMachine("\(root)/even", from: "\(root)/whole/data") { $0 % 2 == 1 }
    try Self.makeMachine("\(root)/odd", from: "\(root)/whole/data") { $0 % 2 == 0 }
    try Self.makeMachine("\(root)/none", from: "\(root)/whole/data") { _ in true }
    let server = try Program([
      "server", "\(root)/tiny.json5", "--run-dir", "\(root)/run", "--listen", "tcp://127.0.0.1:0",
    ])
    #expect(
      eventually { scratch.exists("run/server.address") }, "\(server.output)")
    let address = scratch.text("run/server.address").trimmingCharacters(in: .whitespacesAndNewlines)
    let fc = try Program(["fc", "--server", address, "--listen", "tcp://127.0.0.1:0"])
    // Both have group 0: the server waits, and says for what.
    let machines = ["even", "even"].map { "\(root)/\($0)" }
    let first = try machines.map { try Program(["worker", "--server", address], directory: $0) }
    let missing = "a worker that has shard group 1 of the data"
    #expect(
      eventually {
        (try? Program.run("status", "--why", "--server", address).output.contains(missing)) ?? false
      })
    let useless = try Program(["worker", "--server", address], directory: "\(root)/none")
    #expect(useless.finish() == 1)
    #expect(useless.output.contains("none of 2 shard groups whole"), "\(useless.output)")
    let last = try Program(["worker", "--server", address], directory: "\(root)/odd")
    #expect(server.finish() == 0, "\(server.output)")
    for node in first + [last, fc] { #expect(node.finish() == 0, "\(node.output)") }
    #expect(last.output.contains("here 1 of 2 shard groups"), "\(last.output)")

    let (alone, together) = try (
      Self.summary("\(root)/single"), Self.summary("\(root)/run")
    )
    for key in ["testLoss", "loss"] {
      let (a, b) = try (#require(alone[key] as? Double), #require(together[key] as? Double))
      #expect(abs(a - b) < 2e-4 * max(1, abs(a)), "\(key): \(a) and \(b)")
    }
  }

  private static func summary(_ run: String) throws -> [String: Any] {
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(run)/summary.json"))
    return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
  }
}
