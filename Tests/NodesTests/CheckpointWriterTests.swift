import Configuration
import Foundation
import Messages
import Synchronization
import Network
import Tensors
import Testing
import Training
import Transport

@testable import Nodes

/// What becomes of the model where the last checkpoint meets a file system that does not do
/// everything.
@Suite(.timeLimit(.minutes(30)))
struct CheckpointWriterTests {
  private let folder = NSTemporaryDirectory() + "crosscut-writer-\(UUID().uuidString)"
  private let network: NetworkPlan

  init() throws {
    network = try TinyRun.configuration().networkPlan()
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  private var checkpoints: String { folder + "/checkpoints" }

  private func writer(
    keep: Int = 2, diskIsFull: @escaping @Sendable () -> Bool = { false }
  ) throws -> CheckpointWriter {
    try CheckpointWriter(
      CheckpointStore(directory: checkpoints, keep: keep, diskIsFull: diskIsFull), network
    ) { steps in
      CheckpointManifest(
        run: "0123456789abcdef", software: "crosscut", network: "tiny", steps: steps, epoch: 1,
        seed: 1, globalBatch: 8, trainingExamples: 16, evaluationExamples: 8,
        datasetFingerprint: "1", workers: 1, fcNodes: 1, view: 1, loss: 0.5, history: [])
    }
  }

  /// Every value of a kind is one number.
  private func put(_ number: Float, velocity: Bool, _ writer: CheckpointWriter) {
    for entry in network.parameters.entries {
      let values = [Float](repeating: number, count: entry.shape.count)
      writer.put(
        ParameterPiece(
          name: entry.name, isVelocity: velocity, width: values.count, firstRow: 0,
          columns: 0..<values.count, frames: [Frame(copying: values)]))
    }
  }

  private func model(_ writer: CheckpointWriter) throws -> [Float] {
    let path = folder + "/model.safetensors"
    if let error = writer.saveModel(to: path, metadata: ["by": "test"]) { throw error }
    let reader = try SafeTensorsReader(path: path)
    return try network.parameters.entries.flatMap { try reader.tensor(named: $0.name).values }
  }

  @Test func `where the best checkpoint cannot be marked it is a checkpoint all the same`() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    // No link can take the place of a folder.
    try FileManager.default.createDirectory(
      atPath: checkpoints + "/best/full", withIntermediateDirectories: true)
    let writer = try writer()
    defer { writer.stop() }
    writer.keep(best: 7)
    #expect(writer.beginNow() == nil)
    put(1, velocity: false, writer)
    put(2, velocity: true, writer)
    let path = try writer.finishNow(steps: 7).get()
    #expect(try Checkpoint(path: path).manifest.steps == 7)
    #expect(FileManager.default.fileExists(atPath: checkpoints + "/best/full"))
    #expect(try model(writer).allSatisfy { $0 == 1 })
  }

  /// Writes one as in the middle of a run, and waits for its report.
  private func write(_ steps: UInt64, _ writer: CheckpointWriter) throws -> String {
    writer.begin(steps: steps)
    put(1, velocity: false, writer)
    put(2, velocity: true, writer)
    writer.finish(steps: steps)
    return try #require(writer.reports.take()).result.get()
  }

  private var steps: [UInt64] {
    CheckpointStore(directory: checkpoints, keep: 9).list().map(\.steps)
  }

  @Test func `what the run may go back to stays until it knows of the next`() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let writer = try writer(keep: 1)
    defer { writer.stop() }
    writer.spare(100, since: try write(100, writer))
    let second = try write(200, writer)
    // The run hears of it only now.
    #expect(steps == [200, 100])
    writer.spare(200, since: second)
    #expect(writer.beginNow() == nil)
    #expect(steps == [200])
    // One that has gone back meanwhile does without the newer one.
    let third = try write(300, writer)
    writer.spare(200, since: third)
    #expect(writer.beginNow() == nil)
    #expect(steps == [300, 200])
    put(1, velocity: false, writer)
    put(2, velocity: true, writer)
    _ = try writer.finishNow(steps: 400).get()
    #expect(steps == [400])
  }

  @Test func `without room for the velocities there is a model, and no checkpoint`() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let disk = Disk()
    // Room is asked for at the making of two files and at every write: the parameters are let in.
    disk.accept(2 + network.parameters.entries.count)
    let writer = try writer(diskIsFull: { disk.isFull() })
    defer { writer.stop() }
    #expect(writer.beginNow() == nil)
    put(1, velocity: false, writer)
    put(2, velocity: true, writer)
    guard case .failure(let error) = writer.finishNow(steps: 7) else {
      Issue.record("a checkpoint without velocities")
      return
    }
    #expect(error.reason.contains("no space left on device"), "\(error)")
    #expect(disk.refusals > 0)
    disk.accept(.max)
    #expect(try model(writer).allSatisfy { $0 == 1 })
    writer.begin(steps: 8)
    put(1, velocity: false, writer)
    put(2, velocity: true, writer)
    #expect(try Checkpoint(path: writer.finishNow(steps: 8).get()).manifest.steps == 8)
  }
}

/// A disk that becomes full after so many writes.
private final class Disk: Sendable {
  private let state = Mutex((left: Int.max, refusals: 0))

  var refusals: Int { state.withLock { $0.refusals } }

  func accept(_ writes: Int) { state.withLock { $0.left = writes } }

  func isFull() -> Bool {
    state.withLock { state in
      guard state.left == 0 else {
        state.left -= 1
        return false
      }
      state.refusals += 1
      return true
    }
  }
}
