import DurableFiles
import Foundation
import Testing
import Training

@Suite struct CheckpointStoreTests {
  @Test func `what was written is read back bit for bit`() throws {
    let sample = try CheckpointSample()
    let path = try sample.write(500)
    #expect(path == sample.path(500))
    let checkpoint = try Checkpoint(path: path + "/")
    var expected = CheckpointSample.manifest(500)
    expected.files = checkpoint.manifest.files
    #expect(checkpoint.manifest == expected)
    #expect(
      checkpoint.manifest.files.map(\.name) == ["model.safetensors", "optimizer.safetensors"])
    var values = [Float](repeating: 99, count: 7)
    try values.withUnsafeMutableBufferPointer {
      let start = try #require($0.baseAddress)
      try checkpoint.read("features.0.weight", velocity: false, elements: 1..<6, into: start)
      try checkpoint.read("features.0.bias", velocity: true, elements: 1..<2, into: start + 5)
    }
    #expect(values.map(\.bitPattern) == (sample.weight[1...] + [10, 99]).map(\.bitPattern))
  }

  @Test func `the model is a safetensors file of its own, and the checksums are zlib's`() throws {
    let sample = try CheckpointSample()
    let checkpoint = try Checkpoint(path: sample.write(500))
    let model = try SafeTensorsReader(path: sample.path(500, "model.safetensors"))
    #expect(model.names == ["features.0.bias", "features.0.weight"])
    #expect(model.metadata["format"] == "pt")
    #expect(try model.tensor(named: "features.0.weight").values == sample.weight)
    for entry in checkpoint.manifest.files {
      let bytes = try sample.bytes(500, entry.name)
      #expect(entry.bytes == UInt64(bytes.count))
      #expect(UInt32(entry.crc32, radix: 16) == Self.crc32(bytes))
    }
    let manifest = try sample.bytes(500, "manifest.json")
    #expect(String(decoding: manifest, as: UTF8.self) == (try checkpoint.manifest.json(path: "")))
    #expect(try JSONSerialization.jsonObject(with: Data(manifest)) is [String: Any])
  }

  /// Bit by bit from the polynomial of IEEE 802.3.
  private static func crc32(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(~UInt32(0)) { value, byte in
      (0..<8).reduce(value ^ UInt32(byte)) { rest, _ in rest >> 1 ^ (rest & 1) * 0xedb8_8320 }
    }
  }

  @Test func `the newest are kept, and the newest good one is found`() throws {
    let sample = try CheckpointSample()
    for steps in [100, 200, 300, 400] as [UInt64] { try sample.write(steps, keep: 2) }
    #expect(try sample.names == ["step-00000300", "step-00000400"])
    #expect(sample.newest().steps == 400)
    #expect(sample.newest().notes == [])
    let listed = CheckpointStore(directory: sample.directory, keep: 2).list()
    #expect(listed.map(\.steps) == [400, 300])
    #expect(try listed.map { try $0.manifest.get().steps } == [400, 300])
  }

  /// `scp -r` and `kubectl cp` make a folder of the link.
  @Test func `a copy of the best one in its link's place does not stay the best`() throws {
    let sample = try CheckpointSample()
    let store = CheckpointStore(directory: sample.directory, keep: 1)
    try sample.write(100)
    try FileManager.default.copyItem(atPath: sample.path(100), toPath: sample.directory + "/best")
    #expect(store.best == sample.path(100))
    try sample.write(200, keep: 1)
    #expect(try sample.names == ["best", "step-00000100", "step-00000200"])
    try store.mark(best: 200)
    #expect(store.best == sample.path(200))
    try sample.write(300, keep: 1)
    #expect(try sample.names == ["best", "step-00000200", "step-00000300"])
    // One that cannot be replaced leaves no new link beside it.
    let link = sample.directory + "/best"
    try FileManager.default.removeItem(atPath: link)
    try FileManager.default.createDirectory(
      atPath: link + "/mine/more", withIntermediateDirectories: true)
    #expect(throws: CheckpointError.self) { try store.mark(best: 300) }
    #expect(try sample.names == ["best", "step-00000200", "step-00000300"])
  }

  @Test func `the best one is kept whatever its age, until another is better`() throws {
    let sample = try CheckpointSample()
    let store = CheckpointStore(directory: sample.directory, keep: 2)
    #expect(store.best == nil)
    try sample.write(100, keep: 2)
    try store.mark(best: 100)
    for steps in [200, 300, 400] as [UInt64] { try sample.write(steps, keep: 2) }
    #expect(
      try sample.names == ["best", "step-00000100", "step-00000300", "step-00000400"])
    #expect(store.best == sample.path(100))
    #expect(store.list().map(\.isBest) == [false, false, true])
    // The link is a checkpoint like any other, and no other is taken for the newest.
    #expect(try Checkpoint(path: sample.directory + "/best").manifest.steps == 100)
    #expect(sample.newest().steps == 400)
    try store.mark(best: 400)
    try sample.write(500, keep: 1)
    #expect(try sample.names == ["best", "step-00000400", "step-00000500"])
    #expect(throws: CheckpointError.self) { try store.mark(best: 300) }
    #expect(store.best == sample.path(400))
  }

  @Test func `a damaged one does not count as kept, so the good one before it stays`() throws {
    let sample = try CheckpointSample()
    try sample.write(100)
    try sample.write(200)
    try FileManager.default.removeItem(atPath: sample.path(200, "optimizer.safetensors"))
    try sample.write(300, keep: 2)
    #expect(try sample.names == ["step-00000100", "step-00000200", "step-00000300"])
    try sample.write(400, keep: 2)
    #expect(try sample.names == ["step-00000300", "step-00000400"])
  }

  @Test func `a write after going back keeps itself and what is newer`() throws {
    let sample = try CheckpointSample()
    for steps in [100, 300, 400, 200] as [UInt64] { try sample.write(steps, keep: 3) }
    #expect(try sample.names == ["step-00000200", "step-00000300", "step-00000400"])
  }

  @Test func `going on from an older one puts what is newer aside, and gives it back`() throws {
    let sample = try CheckpointSample()
    for steps in [100, 200, 300] as [UInt64] { try sample.write(steps) }
    let store = CheckpointStore(directory: sample.directory, keep: 9)
    try store.mark(best: 300)
    var notes: [String] = []
    try store.goOn(from: Checkpoint(path: sample.path(300))) { notes.append($0) }
    #expect(notes == [])
    try store.goOn(from: Checkpoint(path: sample.path(100))) { notes.append($0) }
    #expect(
      try sample.names == ["step-00000100", "step-00000200.aside", "step-00000300.aside"])
    #expect(
      notes
        == ([300, 200] as [UInt64]).map {
          "\(sample.path($0)) is now step-00000\($0).aside: training goes on after 100 steps"
        })
    #expect(sample.newest().steps == 100)
    // Another 200 of the new course, which the old one is preferred to after all.
    try sample.write(200)
    try store.goOn(from: Checkpoint(path: sample.path(200) + ".aside")) { _ in }
    #expect(
      try sample.names == [
        "step-00000100", "step-00000200", "step-00000200.aside-2", "step-00000300.aside",
      ])
    // Even begun anew.
    try store.goOn(from: nil) { _ in }
    #expect(sample.newest().steps == nil)
    #expect(try sample.names.count == 4)
  }

  @Test
  func `going on from a copy of a checkpoint puts nothing aside, whatever the folder is called`()
    throws
  {
    let sample = try CheckpointSample(suffix: ".aside")
    for steps in [100, 200] as [UInt64] { try sample.write(steps) }
    let copy = "\(sample.directory)/best"
    try FileManager.default.copyItem(atPath: sample.path(200), toPath: copy)
    let store = CheckpointStore(directory: sample.directory, keep: 9)
    var notes: [String] = []
    for path in [copy, sample.path(200)] {
      try store.goOn(from: Checkpoint(path: path)) { notes.append($0) }
    }
    #expect(notes == [])
    #expect(sample.newest().steps == 200)
  }

  @Test func `the same step written again replaces the old one`() throws {
    let sample = try CheckpointSample()
    try sample.write(100)
    let before = try Checkpoint(path: sample.path(100))
    var manifest = CheckpointSample.manifest(100)
    manifest.view = 77
    try sample.write(100, weight: [6, 5, 4, 3, 2, 1], manifest: manifest)
    #expect(try sample.names == ["step-00000100"])
    #expect(try Checkpoint(path: sample.path(100)).manifest.view == 77)
    // Who has it open still reads what it was.
    var value: Float = 0
    try before.read("features.0.weight", velocity: false, elements: 1..<2, into: &value)
    #expect(value == -2.5)
  }

  @Test func `what a crash left over is ignored, named, and gone after the next write`() throws {
    let sample = try CheckpointSample()
    try sample.write(100)
    let manager = FileManager.default
    for name in ["step-00000200.new", "step-00000050.old"] {
      try manager.copyItem(atPath: sample.path(100), toPath: "\(sample.directory)/\(name)")
    }
    try manager.createDirectory(
      atPath: "\(sample.directory)/mine.new", withIntermediateDirectories: false)
    let found = sample.newest()
    #expect(found.steps == 100)
    #expect(found.notes.count == 2)
    #expect(
      found.notes.allSatisfy { $0.hasPrefix(sample.directory) && $0.contains("left over") })
    try sample.write(300)
    #expect(try sample.names == ["mine.new", "step-00000100", "step-00000300"])
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity])
  func `what is not a number is never written`(value: Float) throws {
    let sample = try CheckpointSample()
    try sample.write(100, keep: 1)
    var weight = sample.weight
    weight[4] = value
    #expect(
      throws: CheckpointError(
        path: sample.path(200),
        reason: "not written: tensor features.0.weight is \(value) at element 4")
    ) { try sample.write(200, keep: 1, weight: weight) }
    #expect(
      throws: CheckpointError(
        path: sample.path(200),
        reason: "not written: the velocity of features.0.bias is \(value) at element 0")
    ) { try sample.write(200, keep: 1, biasVelocity: [value, 1]) }
    var manifest = CheckpointSample.manifest(200)
    manifest.loss = Double(value)
    #expect(throws: CheckpointError.self) { try sample.write(200, keep: 1, manifest: manifest) }
    #expect(try sample.names == ["step-00000100"])
    #expect(sample.newest().steps == 100)
  }

  @Test func `a short write leaves the one before and nothing beside it`() async {
    await #expect(processExitsWith: .success) {
      let sample = try CheckpointSample()
      try sample.write(100, keep: 1)
      let size = try sample.bytes(100, "model.safetensors").count
      // As a full disk does: the kernel takes a part of a write, then none.
      signal(SIGXFSZ, SIG_IGN)
      for limit in [0, size - 1, size + 1] {
        try limitFileSize(to: limit)
        let error = #expect(throws: CheckpointError.self) { try sample.write(200, keep: 1) }
        #expect(error?.path.hasPrefix(sample.path(200) + ".new/") == true)
        #expect(error?.reason == "cannot be written: file too large")
        #expect(try sample.names == ["step-00000100"])
        #expect(sample.newest().steps == 100)
      }
      try limitFileSize(to: nil)
      try sample.write(200, keep: 1)
      #expect(try sample.names == ["step-00000200"])
    }
  }

  @Test func `a disk that is full for a while costs the checkpoint and nothing beside it`() throws {
    let sample = try CheckpointSample()
    try sample.write(100, keep: 1)
    let error = #expect(throws: CheckpointError.self) {
      try sample.write(200, keep: 1, calls: .full { true })
    }
    #expect(
      error?.reason
        == "cannot be written: no space left on device: free some there before the next is due")
    #expect(try sample.names == ["step-00000100"])
    try sample.write(200, keep: 1)
    #expect(try sample.names == ["step-00000200"])
  }

  @Test func `a store that cannot be made or read says so`() throws {
    let sample = try CheckpointSample()
    #expect(sample.newest().steps == nil)
    #expect(sample.newest().notes == [])
    #expect(CheckpointStore(directory: sample.directory, keep: 2).list().isEmpty)
    try Data("a file".utf8).write(to: URL(fileURLWithPath: sample.directory))
    let reason = "\(sample.directory): cannot be read: not a directory"
    #expect(sample.newest().notes == [reason])
    let listed = CheckpointStore(directory: sample.directory, keep: 2).list()
    #expect(listed.map(\.path) == [sample.directory])
    #expect(
      throws: CheckpointError(path: sample.directory, reason: "cannot be made: file exists")
    ) { try sample.write(100) }
  }

  @Test func `two writers in one directory are one too many`() throws {
    let sample = try CheckpointSample()
    try sample.write(100)
    let other = open(sample.directory, O_RDONLY | O_DIRECTORY)
    try #require(flock(other, LOCK_EX) == 0)
    #expect(
      throws: CheckpointError(
        path: sample.directory, reason: "another process is writing checkpoints there")
    ) { try sample.write(200) }
    close(other)
    try sample.write(200)
    #expect(sample.newest().steps == 200)
  }
}

/// Limits what this process may write to a file.
private func limitFileSize(to bytes: Int?) throws {
  var limit = rlimit(rlim_cur: bytes.map { rlim_t($0) } ?? rlim_t.max, rlim_max: rlim_t.max)
  try #require(setrlimit(__rlimit_resource_t(1), &limit) == 0)  // RLIMIT_FSIZE
}
