import Foundation
import Testing
import Training

@Suite struct CheckpointDraftTests {
  private static let tensors: [(name: String, shape: [Int])] = [
    ("features.0.weight", [2, 3]), ("features.0.bias", [2]),
  ]

  private static func draft(
    _ sample: CheckpointSample, steps: UInt64? = nil, keep: Int = 9
  ) throws(CheckpointError) -> CheckpointDraft {
    try CheckpointDraft(
      in: CheckpointStore(directory: sample.directory, keep: keep), steps: steps, tensors: tensors)
  }

  /// Writes all of the sample, the weight's values in pieces that begin at `starts`.
  private static func fill(
    _ draft: CheckpointDraft, _ sample: CheckpointSample, starts: [Int] = [0]
  ) throws {
    for (velocity, weight, bias) in [
      (true, sample.weightVelocity, sample.biasVelocity), (false, sample.weight, sample.bias),
    ] {
      for start in starts {
        let end = starts.filter { $0 > start }.min() ?? weight.count
        try Array(weight[start..<end]).withUnsafeBufferPointer {
          try draft.write("features.0.weight", velocity: velocity, at: start, $0)
        }
      }
      try bias.withUnsafeBufferPointer {
        try draft.write("features.0.bias", velocity: velocity, at: 0, $0)
      }
    }
  }

  @Test(arguments: [[0], [3, 0], [5, 2, 0, 4]])
  func `pieces in any order make the files that whole tensors make`(starts: [Int]) throws {
    let (one, other) = (try CheckpointSample(), try CheckpointSample())
    try one.write(100)
    let draft = try Self.draft(other)
    try Self.fill(draft, other, starts: starts)
    #expect(try draft.finish(CheckpointSample.manifest(100)) == other.path(100))
    for file in ["model.safetensors", "optimizer.safetensors", "manifest.json"] {
      #expect(try one.bytes(100, file) == other.bytes(100, file))
    }
    #expect(other.refusal(100) == nil)
    #expect(try other.names == ["step-00000100"])
  }

  @Test func `one that is not finished leaves nothing, and the store free for another`() throws {
    let sample = try CheckpointSample()
    do {
      let draft = try Self.draft(sample)
      try Self.fill(draft, sample)
      #expect(try sample.names == ["collecting.new"])
      #expect(
        throws: CheckpointError(
          path: sample.directory, reason: "another process is writing checkpoints there")
      ) { try Self.draft(sample, steps: 7) }
    }
    #expect(try sample.names == [])
    // As a server that was killed leaves it.
    try FileManager.default.createDirectory(
      atPath: "\(sample.directory)/collecting.new", withIntermediateDirectories: false)
    try sample.write(100)
    #expect(try sample.names == ["step-00000100"])
  }

  @Test func `one that must not count leaves those before it, and still gives the model`() throws {
    let sample = try CheckpointSample()
    try sample.write(100)
    let draft = try Self.draft(sample, steps: 200)
    try Self.fill(draft, sample)
    let reason = CheckpointError(path: "ledger.jsonl", reason: "cannot be written")
    #expect(throws: reason) {
      try draft.finish(CheckpointSample.manifest(200)) { () throws(CheckpointError) in throw reason
      }
    }
    #expect(try sample.names == ["step-00000100", "step-00000200.new"])
    #expect(CheckpointStore(directory: sample.directory, keep: 9).list().map(\.steps) == [100])
    let model = "\(sample.directory)/model"
    try draft.saveModel(to: model, metadata: [:])
    let reader = try SafeTensorsReader(path: model)
    #expect(try reader.tensor(named: "features.0.weight").values == sample.weight)
  }

  @Test func `without one of its tensors it is not finished`() throws {
    let sample = try CheckpointSample()
    let draft = try Self.draft(sample, steps: 200)
    try sample.weight.withUnsafeBufferPointer {
      try draft.write("features.0.weight", velocity: false, at: 0, $0)
    }
    #expect(
      throws: CheckpointError(
        path: sample.path(200), reason: "not written: tensor features.0.bias did not come")
    ) { try draft.finish(CheckpointSample.manifest(200)) }
  }

  @Test func `elements that a tensor does not have are refused, not written`() throws {
    let sample = try CheckpointSample()
    let draft = try Self.draft(sample)
    for (name, start) in [("features.0.bias", 1), ("features.0.bias", -1), ("other", 0)] {
      #expect(throws: CheckpointError.self) {
        try sample.bias.withUnsafeBufferPointer {
          try draft.write(name, velocity: true, at: start, $0)
        }
      }
    }
  }

  @Test func `the model can be had from a checkpoint, and from a draft that could not become one`()
    throws
  {
    let sample = try CheckpointSample()
    let path = sample.url.appendingPathComponent("model.safetensors").path
    func model() throws -> [Float] {
      let reader = try SafeTensorsReader(path: path)
      #expect(reader.metadata == ["by": "test"])
      return try reader.tensor(named: "features.0.weight").values
    }
    try sample.write(100)
    try Checkpoint(path: sample.path(100)).saveModel(to: path, metadata: ["by": "test"])
    #expect(try model() == sample.weight)
    let draft = try Self.draft(sample)
    try Self.fill(draft, sample)
    try [Float.nan].withUnsafeBufferPointer {
      try draft.write("features.0.bias", velocity: true, at: 0, $0)
      try draft.write("features.0.weight", velocity: false, at: 1, $0)
    }
    #expect(throws: CheckpointError.self) { try draft.finish(CheckpointSample.manifest(200)) }
    try draft.saveModel(to: path, metadata: ["by": "test"])
    let values = try model()
    #expect(values[0] == sample.weight[0] && values[1].isNaN && values[2] == sample.weight[2])
  }
}
