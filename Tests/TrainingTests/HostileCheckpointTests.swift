import Foundation
import Network
import Tensors
import Testing
import Training

/// Every checkpoint that must not be believed: refused by file and reason, the one before it used.
@Suite struct HostileCheckpointTests {
  private static let files = ["manifest.json", "model.safetensors", "optimizer.safetensors"]

  /// Checkpoints 100 and 200, of which the test damages the second.
  private func pair() throws -> CheckpointSample {
    let sample = try CheckpointSample()
    try sample.write(100)
    try sample.write(200)
    return sample
  }

  private func expectFallback(_ sample: CheckpointSample, _ file: String) {
    let found = sample.newest()
    #expect(found.steps == 100)
    #expect(found.notes.count == 1)
    #expect(found.notes.first?.hasPrefix("\(sample.path(200, file)): ") == true)
  }

  @Test(arguments: files)
  func `cut short anywhere it is refused by name`(file: String) throws {
    let sample = try pair()
    let whole = try sample.bytes(200, file)
    for count in 0..<whole.count {
      try sample.put(Array(whole[..<count]), 200, file)
      let error = try #require(sample.refusal(200, verify: false), "\(count) of \(whole.count)")
      #expect(error.path == sample.path(200, file))
      #expect(!"\(error)".contains("\n"))
    }
    expectFallback(sample, file)
    try sample.put(whole + [0], 200, file)
    expectFallback(sample, file)
    try sample.put(whole, 200, file)
    #expect(sample.refusal(200) == nil)
  }

  @Test(arguments: files)
  func `with any one bit flipped it is refused by name`(file: String) throws {
    let sample = try pair()
    let whole = try sample.bytes(200, file)
    for bit in 0..<(whole.count * 8) {
      var bytes = whole
      bytes[bit / 8] ^= 1 << (bit % 8)
      try sample.put(bytes, 200, file)
      let error = try #require(sample.refusal(200), "bit \(bit)")
      #expect(error.path == sample.path(200, file), "bit \(bit)")
      #expect(!"\(error)".contains("\n"))
    }
    expectFallback(sample, file)
  }

  @Test(arguments: files)
  func `without one of its files it is refused by the file's name`(file: String) throws {
    let sample = try pair()
    try FileManager.default.removeItem(atPath: sample.path(200, file))
    #expect(
      sample.refusal(200)
        == CheckpointError(
          path: sample.path(200, file), reason: "cannot be opened: no such file or directory"))
    expectFallback(sample, file)
  }

  @Test(arguments: files)
  func `a pipe or a directory in a file's place neither hangs nor is read`(file: String) throws {
    let sample = try pair()
    try FileManager.default.removeItem(atPath: sample.path(200, file))
    try #require(mkfifo(sample.path(200, file), 0o600) == 0)
    expectFallback(sample, file)
    unlink(sample.path(200, file))
    try #require(mkdir(sample.path(200, file), 0o700) == 0)
    expectFallback(sample, file)
  }

  @Test(arguments: files)
  func `a file of another checkpoint, or of another run, is refused`(file: String) throws {
    let sample = try pair()
    let whole = try sample.bytes(200, file)
    try sample.put(try sample.bytes(100, file), 200, file)
    var error = try #require(sample.refusal(200, verify: false))
    #expect(error.path == sample.path(200, file))
    #expect(error.reason.contains("step 100"))
    expectFallback(sample, file)
    // The same step of another run: the manifest is good in itself, its files tell.
    try sample.put(whole, 200, file)
    var other = CheckpointSample.manifest(200)
    other.run = "fedcba9876543210"
    let foreign = try CheckpointSample()
    try foreign.write(200, manifest: other)
    try sample.put(try foreign.bytes(200, file), 200, file)
    error = try #require(sample.refusal(200, verify: false))
    #expect(error.reason.contains("run fedcba9876543210"))
  }

  @Test(arguments: [
    ("", "checksum is missing"), ("{}", "checksum is missing"), ("null", "checksum is missing"),
    (#"{"name": "package", "version": "1.0"}"#, "checksum is missing"),
    (#"{"format": 2, "software": "crosscut\n9"}"#, "by crosscut?9, in format 2, newer"),
    (#"{"format": 9223372036854775807}"#, "newer than this program's 1"),
    (String(repeating: "[", count: 100_000), "checksum is missing"),
    (String(repeating: #"{"a":"#, count: 100_000), "checksum is missing"),
  ])
  func `a manifest that is none, or of a newer format, is refused`(
    text: String, reason: String
  ) throws {
    let sample = try pair()
    try sample.put(Array(text.utf8), 200, "manifest.json")
    let error = try #require(sample.refusal(200))
    #expect("\(error)".contains(reason), "\(error)")
    expectFallback(sample, "manifest.json")
  }

  @Test func `a manifest is not read beyond what one can be`() throws {
    let sample = try pair()
    try #require(truncate(sample.path(200, "manifest.json"), 1 << 40) == 0)
    #expect(sample.refusal(200)?.reason.contains("too long for a manifest") == true)
  }

  @Test(arguments: ["model.safetensors", "optimizer.safetensors"])
  func `a value that is not a number is found though every checksum is right`(
    file: String
  ) throws {
    let sample = try pair()
    var bytes = try sample.bytes(200, file)
    // The last value of the file is the last of features.0.weight.
    bytes.replaceSubrange((bytes.count - 4)..., with: [0, 0, 0xc0, 0x7f])
    try sample.put(bytes, 200, file)
    let damaged = try #require(sample.refusal(200)).reason
    #expect(damaged.hasPrefix("damaged: its CRC-32 is "))
    // A manifest made for it, as a program would that does not look.
    let crc = String(damaged.dropFirst("damaged: its CRC-32 is ".count).prefix(8))
    var manifest = try Checkpoint(path: sample.path(200), verify: false).manifest
    let index = try #require(manifest.files.firstIndex { $0.name == file })
    manifest.files[index].crc32 = crc
    try sample.put(Array(manifest.json(path: "").utf8), 200, "manifest.json")
    #expect(
      sample.refusal(200)
        == CheckpointError(
          path: sample.path(200, file), reason: "tensor features.0.weight is nan at element 5"))
    expectFallback(sample, file)
  }

  @Test(arguments: [
    [], ["model.safetensors"], ["model.safetensors", "../../etc/passwd"],
    ["model.safetensors", "model.safetensors"],
  ])
  func `a manifest lists the two files and no other`(names: [String]) throws {
    let sample = try pair()
    var manifest = try Checkpoint(path: sample.path(200)).manifest
    manifest.files = names.map { .init(name: $0, bytes: .max, crc32: "00000000") }
    try sample.put(Array(manifest.json(path: "").utf8), 200, "manifest.json")
    #expect(sample.refusal(200)?.reason.hasPrefix("lists the files ") == true)
    expectFallback(sample, "manifest.json")
  }

  /// A conv and an fc layer.
  private static func plan(channels: Int = 2, units: Int = 3, fcLayers: Int = 1) throws
    -> NetworkPlan
  {
    let conv = LayerSpec(.convolution(Convolution(channels: channels, kernel: 1)), name: "c1")
    let full = LayerSpec(.fullyConnected(FullyConnected(units: units)))
    return try NetworkPlan(
      input: Shape(3, 1, 1), layers: [conv] + Array(repeating: full, count: fcLayers))
  }

  @Test func `a network whose parameters differ is told which`() throws {
    let sample = try CheckpointSample()
    let plan = try Self.plan()
    let zeros = [Float](repeating: 0, count: 100)
    let path = try zeros.withUnsafeBufferPointer { zeros in
      try CheckpointStore(directory: sample.directory, keep: 1).write(
        CheckpointSample.manifest(100),
        tensors: plan.parameters.entries.map {
          let values = UnsafeBufferPointer(rebasing: zeros[..<$0.shape.count])
          return CheckpointTensor(
            name: $0.name, shape: $0.shape.extents, value: values, velocity: values)
        })
    }
    let checkpoint = try Checkpoint(path: path)
    func difference(_ plan: NetworkPlan) -> String? {
      do throws(CheckpointError) {
        try checkpoint.check(against: plan.parameters)
        return nil
      } catch {
        #expect(error.path == sample.path(100, "model.safetensors"))
        return error.reason
      }
    }
    #expect(difference(plan) == nil)
    #expect(
      difference(try Self.plan(channels: 4))
        == "tensor features.0.weight is 2x3x1x1, the network's c1 4x3x1x1")
    let missing = try #require(difference(try Self.plan(fcLayers: 2)))
    #expect(missing.hasPrefix("there is no tensor classifier."))
    let convolutional = try NetworkPlan(
      input: Shape(3, 1, 1),
      layers: [
        LayerSpec(.convolution(Convolution(channels: 2, kernel: 1)), name: "c1"),
        LayerSpec(.fullyConnected(FullyConnected(units: 5))),
      ])
    #expect(difference(convolutional)?.contains("classifier.0.weight is 3x2") == true)
  }

  @Test func `elements that a tensor does not have are refused, not read`() throws {
    let sample = try CheckpointSample()
    let checkpoint = try Checkpoint(path: sample.write(100))
    var value: Float = 1
    for (name, range) in [
      ("features.0.weight", 6..<7), ("features.0.weight", -1..<0), ("features.9.weight", 0..<1),
    ] {
      #expect(throws: CheckpointError.self) {
        try checkpoint.read(name, velocity: true, elements: range, into: &value)
      }
    }
    #expect(value == 1)
  }
}
