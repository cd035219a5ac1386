import Coordination
import Foundation
import Messages
import Network
import Tensors
import Testing
import Training

@testable import Nodes

/// What the server makes of slices that come in, and go out again.
@Suite(.timeLimit(.minutes(10)))
struct ServerArchiveTests {
  private let folder = NSTemporaryDirectory() + "crosscut-archive-\(UUID().uuidString)"
  private let context: RunContext
  private let diskIsFull = SharedNumber()

  init() throws {
    context = try RunContext(TinyRun.configuration())
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  /// All slices of the only FC node, for the end of the run.
  private func handIn(_ archive: ServerArchive) {
    var number = 0
    for entry in context.network.parameters.entries where entry.dense {
      let rows = entry.shape[0]
      for part in Slice.Part.allCases {
        let slice = Slice(
          transfer: 0, number: number, part: part, key: entry.key, firstRow: 0, rows: rows,
          firstColumn: 0, columns: entry.shape.count / rows, isLast: false)
        let frame = Frame(copying: [Float](repeating: 1, count: entry.shape.count))
        let outcome = archive.store(slice, [frame], NodeName(.fc, 0))
        guard case .done = outcome else {
          Issue.record("\(outcome)")
          return
        }
        number += 1
      }
    }
  }

  @Test func `an end that was taken back leaves the next one no error`() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let store = CheckpointStore(directory: folder + "/checkpoints", keep: 2) { [diskIsFull] in
      diskIsFull.value != 0
    }
    let writer = try CheckpointWriter(store, context.network) { steps in
      CheckpointManifest(
        run: "0123456789abcdef", software: "crosscut", network: "tiny", steps: steps, epoch: 1,
        seed: 1, globalBatch: 8, trainingExamples: 16, evaluationExamples: 8,
        datasetFingerprint: "1", workers: 1, fcNodes: 1, view: 1, loss: 0.5, history: [])
    }
    defer { writer.stop() }
    let archive = ServerArchive(
      context: context, modelPath: nil, metadata: [:], checkpoints: store, resumed: nil,
      writer: writer, isEnding: SharedNumber(), report: { _ in }, onModel: nil)
    let compute = try ServerCompute(
      context: context, archive: archive, resumeSteps: 0, probe: nil, rates: RateSheet([]))
    diskIsFull.value = 1
    handIn(archive)
    // An FC node is gone before its last piece, and there is room before the run has ended again.
    let back = compute.perform(.rollBack(steps: 0))
    guard case .done = back else {
      Issue.record("\(back)")
      return
    }
    diskIsFull.value = 0
    handIn(archive)
    let end = compute.perform(.save(steps: 20))
    guard case .saved(problem: nil) = end else {
      Issue.record("\(end)")
      return
    }
    #expect(store.list().map(\.steps) == [20])
  }
}
