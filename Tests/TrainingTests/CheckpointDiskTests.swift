import DurableFiles
import Foundation
import Synchronization
import Testing

@testable import Training

/// A checkpoint that is written again, over the one of the same step, to a disk that fails.
@Suite struct CheckpointDiskTests {
  /// Fails one of its calls, or that one and all that follow.
  private final class FailingDisk: Sendable {
    private let count = Mutex(0)
    private let failing: Int
    private let isForGood: Bool
    private let canExchange: Bool

    init(failing: Int, forGood: Bool, canExchange: Bool) {
      self.failing = failing
      isForGood = forGood
      self.canExchange = canExchange
    }

    var hasFailed: Bool { count.withLock { $0 > failing } }

    private func fails() -> Bool {
      let number = count.withLock {
        $0 += 1
        return $0 - 1
      }
      guard number == failing || isForGood && number > failing else { return false }
      errno = EIO
      return true
    }

    var calls: FileCalls {
      let system = FileCalls()
      var calls = system
      calls.reserve = { [self] in fails() ? -1 : system.reserve($0, $1) }
      calls.write = { [self] in fails() ? -1 : system.write($0, $1, $2, $3) }
      calls.sync = { [self] in fails() ? -1 : system.sync($0) }
      calls.rename = { [self] in fails() ? -1 : system.rename($0, $1) }
      calls.exchange = { [self] one, other in
        guard canExchange else {
          errno = EINVAL
          return -1
        }
        return fails() ? -1 : system.exchange(one, other)
      }
      return calls
    }
  }

  private static let newWeight: [Float] = [6, 5, 4, 3, 2, 1]

  /// The weight that a checkpoint has, every byte of it looked at.
  private static func weight(
    _ sample: CheckpointSample, _ steps: UInt64, _ suffix: String = ""
  ) throws -> [Float] {
    let checkpoint = try Checkpoint(path: sample.path(steps) + suffix)
    #expect(checkpoint.manifest.steps == steps)
    var values = [Float](repeating: 0, count: 6)
    try values.withUnsafeMutableBufferPointer {
      try checkpoint.read(
        "features.0.weight", velocity: false, elements: 0..<6, into: #require($0.baseAddress))
    }
    return values
  }

  @Test(arguments: [(false, true), (true, true), (false, false), (true, false)])
  func `whatever fails, a good checkpoint of the step is there`(
    forGood: Bool, canExchange: Bool
  ) throws {
    var (failures, revertible) = (0, 0)
    while true {
      let sample = try CheckpointSample()
      try sample.write(100)
      let disk = FailingDisk(failing: failures, forGood: forGood, canExchange: canExchange)
      let isWritten = (try? sample.write(100, weight: Self.newWeight, calls: disk.calls)) != nil
      guard disk.hasFailed else {
        #expect(isWritten)
        break
      }
      failures += 1
      let context: Comment = "call \(failures)"
      // Without an exchange, and with a disk that does nothing any more, it waits for the next write.
      if canExchange || !forGood {
        let weight = try Self.weight(sample, 100)
        #expect(weight == Self.newWeight || !isWritten && weight == sample.weight, context)
        // After a power cut the disk may have the names of before: what had them is there, too.
        if !isWritten, weight == Self.newWeight {
          revertible += 1
          let old = try Self.weight(sample, 100, canExchange ? ".new" : ".old")
          #expect(old == sample.weight, context)
        }
      }
      try sample.write(200)
      let weight = try Self.weight(sample, 100)
      #expect(weight == Self.newWeight || !isWritten && weight == sample.weight, context)
      #expect(try sample.names == ["step-00000100", "step-00000200"], context)
    }
    // Three files with their room, writes and syncs, two folders, and the names.
    #expect(failures > 15)
    #expect(revertible == (canExchange || !forGood ? 1 : 0))
  }

  /// A disk that cannot sync the folder of the checkpoints as long as `fails` says so.
  private static func withoutNames(
    _ sample: CheckpointSample, _ fails: @escaping @Sendable () -> Bool
  ) -> FileCalls {
    let system = FileCalls()
    var calls = system
    let directory = sample.directory
    calls.sync = { file in
      var (one, other) = (stat(), stat())
      guard fails(), fstat(file, &one) == 0, stat(directory, &other) == 0,
        one.st_ino == other.st_ino
      else { return system.sync(file) }
      errno = EIO
      return -1
    }
    return calls
  }

  @Test func `a folder that cannot be synced costs neither the old checkpoint nor the new one`()
    throws
  {
    let sample = try CheckpointSample()
    try sample.write(100)
    let fails = Mutex(true)
    let calls = Self.withoutNames(sample) { fails.withLock { $0 } }
    let refused = CheckpointError(
      path: sample.directory, reason: "cannot be synced to the disk: input/output error")
    #expect(throws: refused) { try sample.write(100, weight: Self.newWeight, calls: calls) }
    #expect(try sample.names == ["step-00000100", "step-00000100.new"])
    #expect(try Self.weight(sample, 100) == Self.newWeight)
    #expect(try Self.weight(sample, 100, ".new") == sample.weight)
    // The next write removes nothing either before the disk has the names.
    #expect(throws: refused) { try sample.write(200, calls: calls) }
    #expect(try sample.names == ["step-00000100", "step-00000100.new"])
    fails.withLock { $0 = false }
    try sample.write(200, calls: calls)
    #expect(try sample.names == ["step-00000100", "step-00000200"])
  }

  @Test func `the model of one whose name could not be synced is its own`() throws {
    let sample = try CheckpointSample()
    try sample.write(100)
    let store = CheckpointStore(
      directory: sample.directory, keep: 9, calls: Self.withoutNames(sample) { true })
    let model = sample.url.appendingPathComponent("model").path
    let draft = try CheckpointDraft(
      in: store, steps: 100, tensors: [(name: "features.0.weight", shape: [6])])
    try Self.newWeight.withUnsafeBufferPointer {
      try draft.write("features.0.weight", velocity: false, at: 0, $0)
      try draft.write("features.0.weight", velocity: true, at: 0, $0)
    }
    #expect(throws: CheckpointError.self) { try draft.finish(CheckpointSample.manifest(100)) }
    try draft.saveModel(to: model, metadata: [:])
    let reader = try SafeTensorsReader(path: model)
    #expect(try reader.tensor(named: "features.0.weight").values == Self.newWeight)
  }

  @Test func `one that was put aside for one that did not come has its name again`() throws {
    let sample = try CheckpointSample()
    try sample.write(100)
    // Killed between two renames, where names cannot be exchanged.
    try FileManager.default.moveItem(
      atPath: sample.path(100), toPath: sample.path(100) + ".old")
    try sample.write(200)
    #expect(try sample.names == ["step-00000100", "step-00000200"])
    #expect(try Self.weight(sample, 100) == sample.weight)
    // One that was being removed stays away.
    try FileManager.default.moveItem(
      atPath: sample.path(100), toPath: sample.path(100) + ".old")
    unlink(sample.path(100) + ".old/manifest.json")
    try sample.write(300)
    #expect(try sample.names == ["step-00000200", "step-00000300"])
  }
}
