import Foundation
import Messages
import Observability
import Testing
import Training

/// A folder of pictures some of which cannot be read.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct BrokenPicturesTests {
  private let cluster: TinyCluster
  private var pictures: String { "\(cluster.scratch.path)/pictures" }

  init() throws { cluster = try TinyCluster() }

  /// 40 training and 8 test pictures in two classes; those `broken` are no pictures at all.
  private func makePictures(broken: (_ set: String, _ number: Int) -> Bool) throws {
    let golden = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../DatasetsTests/Golden")
    let files = try ["squares.jpg", "alpha.png"].map {
      try Data(contentsOf: golden.appendingPathComponent($0))
    }
    for (set, count) in [("train", 40), ("test", 8)] {
      for number in 0..<count {
        let folder = "\(pictures)/\(set)/class\(number % 2)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let name = "\(number)" + (number % 2 == 0 ? ".jpg" : ".png")
        let bytes = broken(set, number) ? Data("no picture".utf8) : files[number % 2]
        try bytes.write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
      }
    }
  }

  private func train(_ more: [String], run: String? = nil) throws -> Program {
    try cluster.train(
      [
        "--set", "dataset={kind: 'folder', path: '\(pictures)', size: 8}",
        "--set", "network.input=[3, 8, 8]", "--set", "optimizer.learningRate=0.0005",
      ] + more, runDirectory: run)
  }

  private func model(_ run: String) throws -> [String: [Float]] {
    let reader = try SafeTensorsReader(path: "\(run)/model.safetensors")
    return try Dictionary(
      uniqueKeysWithValues: reader.names.map { ($0, Array(try reader.tensor(named: $0).values)) })
  }

  private static let broken = "train/class0/14.jpg"

  @Test func `a run with a broken picture trains to its end, names it, and comes out the same`()
    throws
  {
    try makePictures { $0 == "train" ? $1 == 14 : $1 == 3 }
    let runs = [cluster.run, "\(cluster.scratch.path)/again"]
    for run in runs {
      let program = try train(["--set", "steps=60"], run: run)
      #expect(program.finish() == 0, "\(program.output)")
    }
    // Two processes and two threads each: whoever meets it takes the same one in its place.
    #expect(try model(runs[0]) == (try model(runs[1])))
    let log = cluster.text("run/worker-0.log") + cluster.text("run/worker-1.log")
    for (set, name) in [("training", Self.broken), ("test", "test/class1/3.png")] {
      #expect(
        log.contains(
          "an example of the \(set) set cannot be read, the next one takes its place: "
            + "\(pictures)/\(name): "), "\(log)")
    }
    #expect(log.matches(of: /\/14\.jpg/).count <= 2, "\(log)")
    let evaluation = try Program.run("evaluate", cluster.run)
    #expect(evaluation.code == 0, "\(evaluation.output)")
    #expect(evaluation.output.contains("test/class1/3.png"), "\(evaluation.output)")
  }

  @Test func `the status counts the pictures that a worker cannot read`() throws {
    try makePictures { $0 == "train" && $1 == 14 }
    let program = try train(["--set", "steps=1000000"])
    let server = try cluster.address()
    #expect(
      eventually {
        guard let answer = try? Program.run("status", "--server", server, "--json"),
          let record = try? StatusRecord.decode(Array(answer.output.utf8))
        else { return false }
        return record.nodes.filter { $0.role == .worker }.allSatisfy { $0.brokenExamples == 1 }
          && record.nodes.count == 4
      }, "\(program.output)")
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
  }

  @Test func `a run half of whose pictures are broken ends with one clear line`() throws {
    try makePictures { $0 == "train" && $1 % 4 < 2 }
    let program = try train(["--set", "steps=1000000"])
    #expect(program.finish() == 1, "\(program.output)")
    let lines = program.output.split(separator: "\n").filter {
      $0.contains("cannot be read, dataset.maxBrokenFraction is 0.01; the last: \(pictures)/train/")
    }
    // Of each worker once, if both come upon it at the same time.
    #expect((1...2).contains(lines.count), "\(program.output)")
    #expect(!program.output.contains("started again"), "\(program.output)")
    // The model of the steps that were done is there.
    #expect(try !model(cluster.run).isEmpty)
  }
}
