import Foundation
import Testing

/// Pictures from `data prepare` to `predict`, as users call the commands.
@Suite(.timeLimit(.minutes(30)), .serialized) struct DataCommandTests {
  private static let network = """
    {
      network: {
        name: "tiny", input: [3, 28, 28],
        layers: [
          { type: "conv", channels: 4, kernel: 5, stride: 2 }, "relu",
          { type: "fc", units: 16 }, "relu", { type: "fc", units: 10 },
        ],
      },
      dataset: {
        kind: "prepared", path: "data",
        augmentation: { flip: true, colorNoise: 0.1, colorNoiseScale: "variance" },
      },
      globalBatch: 10, steps: 30, evaluation: { everySteps: 10 },
      logging: { everySteps: 10 },
    }
    """

  private let scratch: Scratch
  private var root: String { scratch.path }

  init() throws {
    scratch = try Scratch()
    try LocalShardTests.makeSource("\(root)/source")
    try Self.network.write(toFile: "\(root)/tiny.json5", atomically: true, encoding: .utf8)
  }

  private func run(_ arguments: String...) throws -> (code: Int32, output: String) {
    let program = try Program(arguments, directory: root)
    return (program.finish(), program.output)
  }

  private func object(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  @Test func `from a folder of files to the classes of a picture`() throws {
    let prepared = try run("data", "prepare", "source", "--out", "data")
    #expect(prepared.code == 0 && prepared.output.contains("48 examples in data, 0 left out"))

    let info = try object(try run("data", "info", "data", "--json").output)
    #expect((info["sets"] as? [[String: Any]])?.compactMap { $0["examples"] as? Int } == [40, 8])
    let table = try run("data", "info", "data")
    #expect(table.code == 0 && table.output.contains("10 classes"), "\(table.output)")

    let sheet = try run("data", "preview", "data", "--crop", "28", "--out", "sheet.png")
    #expect(sheet.output == "sheet.png: 8 of 40 examples, 8 views each, 28x28\n")
    let own = try run("data", "preview", "--config", "tiny.json5", "--out", "own.png")
    #expect(own.output == "own.png: 8 of 40 examples, 8 views each, 28x28\n", "\(own.output)")
    let other = try run(
      "data", "preview", "--config", "tiny.json5", "--set",
      "dataset.augmentation.colorNoise=0", "--out", "other.png")
    #expect(other.code == 0)
    let pictures = try ["sheet.png", "own.png", "other.png"].map {
      try Data(contentsOf: URL(fileURLWithPath: "\(root)/\($0)"))
    }
    #expect(pictures.allSatisfy { $0.starts(with: [0x89, 0x50, 0x4E, 0x47]) })
    #expect(Set(pictures).count == 3)

    let train = try run(
      "train", "tiny.json5", "--in-process", "--run-dir", "run", "--listen", "tcp://127.0.0.1:0")
    #expect(train.code == 0, "\(train.output)")
    // 10 of 40 examples a step: an evaluation knows in which epoch it is.
    let epochs = try scratch.text("run/metrics.jsonl").split(separator: "\n")
      .map { try object(String($0)) }.filter { $0["kind"] as? String == "evaluation" }
    #expect(epochs.compactMap { $0["epoch"] as? Double } == [2.5, 5, 7.5])
    #expect(epochs.allSatisfy { $0["data"] == nil })

    for more in [[], ["--ten-crop"]] {
      let evaluated = try Program(["evaluate", "run", "--json"] + more, directory: root)
      #expect(evaluated.finish() == 0, "\(evaluated.output)")
      #expect(try object(evaluated.output)["dataset"] as? String == "prepared")
      let predicted = try Program(
        ["predict", "sheet.png", "--model", "run", "--top", "3"] + more, directory: root)
      #expect(predicted.finish() == 0, "\(predicted.output)")
      let lines = predicted.output.split(separator: "\n")
      #expect(lines.first == "sheet.png" && lines.count == 4, "\(predicted.output)")
    }
    let json = try run("predict", "sheet.png", "own.png", "--model", "run", "--json")
    let records =
      try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [[String: Any]]
    #expect(records?.compactMap { $0["image"] as? String } == ["sheet.png", "own.png"])
    let some = try run("predict", "sheet.png", "nowhere.png", "own.png", "--model", "run")
    #expect(some.code == 1 && some.output.contains("crosscut: nowhere.png: "), "\(some.output)")
    #expect(some.output.contains("sheet.png\n") && some.output.contains("own.png\n"))
    let none = try run("predict", "nowhere.png", "--model", "run")
    #expect(none.code == 1 && none.output.split(separator: "\n").count == 1, "\(none.output)")
  }

  @Test func `a network that does not fit its data set is a fault of the configuration`() throws {
    #expect(try run("data", "prepare", "source", "--out", "data").code == 0)
    let few = try run("train", "tiny.json5", "--set", "network.layers[4].units=9")
    #expect(
      few.code == 2
        && few.output.hasSuffix(
          "tiny.json5: dataset: it has 10 classes, the network's last layer only 9 units\n"),
      "\(few.output)")
    let channels = try run("train", "tiny.json5", "--set", "network.input=[1, 28, 28]")
    #expect(
      channels.code == 2 && channels.output.contains("tiny.json5: dataset: its images are"),
      "\(channels.output)")
    let many = try run("train", "tiny.json5", "--dry-run", "--set", "network.layers[4].units=12")
    #expect(
      many.code == 0
        && many.output.contains("warning: the data set has 10 classes, the network's last layer 12"),
      "\(many.output)")
  }

  @Test func `what cannot be shown is refused in one line`() throws {
    #expect(try run("data", "prepare", "source", "--out", "data").code == 0)
    for (arguments, expected) in [
      (["data", "--crop", "300"], "--crop 300: the pictures are 32x32"),
      (["data", "--config", "tiny.json5"], "DIR and --config exclude each other"),
      (["--config", "tiny.json5", "--no-flip"], "--no-flip and --config exclude each other"),
      ([], "DIR is missing"),
    ] {
      let program = try Program(
        ["data", "preview"] + arguments + ["--out", "x.png"], directory: root)
      #expect(program.finish() == 2 && program.output.contains(expected), "\(program.output)")
      #expect(!FileManager.default.fileExists(atPath: "\(root)/x.png"))
    }
  }

  @Test func `made-up examples are named in what is measured on them, and are no pictures`() throws
  {
    let cluster = try TinyCluster()
    let train = try cluster.train(["--in-process", "--set", "cluster.workers=1"])
    #expect(train.finish() == 0, "\(train.output)")
    let evaluated = try Program.run("evaluate", cluster.run)
    #expect(evaluated.output.contains("synthetic: 400 synthetic examples"), "\(evaluated.output)")
    let compared = try Program.run("compare", cluster.run)
    #expect(compared.output.contains("(synthetic data)"), "\(compared.output)")
    let summary = cluster.text("run/summary.json")
    #expect(summary.contains(#""kind":"synthetic""#), "\(summary)")
    let lines = cluster.text("run/metrics.jsonl").split(separator: "\n")
    #expect(!lines.isEmpty && lines.allSatisfy { $0.contains(#""data":"synthetic""#) })
    let predicted = try Program.run("predict", "\(cluster.run)/none.png", "--model", cluster.run)
    #expect(predicted.code == 2 && predicted.output.contains("data set is synthetic"))
  }

  @Test func `CIFAR-100 has 100 classes or 20 groups`() throws {
    let folder = "\(root)/cifar-100"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for name in ["train", "test"] {
      // A group, a class, and the picture.
      var records: [UInt8] = []
      for number in 0..<4 as Range<UInt8> {
        records += [5 * number, 25 * number]
        records += [UInt8](repeating: 60 * number, count: 3072)
      }
      try Data(records).write(to: URL(fileURLWithPath: "\(folder)/\(name).bin"))
    }
    for (labels, classes) in [("fine", 100), ("coarse", 20)] {
      let prepared = try run("data", "prepare", folder, "--labels", labels, "--out", labels)
      #expect(prepared.output.contains("8 examples in \(classes) classes"), "\(prepared.output)")
    }
    let wrong = try run("data", "prepare", folder, "--labels", "finest", "--out", "none")
    #expect(wrong.code == 2 && wrong.output.contains("expects fine or coarse, not \"finest\""))
  }

  @Test func `presets are listed, and each is shown`() throws {
    let list = try run("model", "list")
    #expect(list.code == 0 && list.output.contains("alexnet-2012"), "\(list.output)")
    let shown = try run("model", "show", "alexnet-2012")
    #expect(shown.code == 0 && shown.output.contains("60,965,224"), "\(shown.output)")
  }
}
