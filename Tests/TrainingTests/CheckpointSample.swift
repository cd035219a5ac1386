import DurableFiles
import Foundation

@testable import Training

/// A directory with small checkpoints, gone with it.
final class CheckpointSample {
  let url: URL
  let weight: [Float] = [1, -2.5, .leastNonzeroMagnitude, -0.0, .greatestFiniteMagnitude, 6]
  let bias: [Float] = [7, 8]
  let weightVelocity: [Float] = [0.5, 0, -1, 2, 3, 4]
  let biasVelocity: [Float] = [-9, 10]

  /// - Parameter suffix: how its folder's name ends.
  init(suffix: String = "") throws {
    url = FileManager.default.temporaryDirectory
      .appendingPathComponent("crosscut-\(UUID().uuidString)\(suffix)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  var directory: String { url.appendingPathComponent("checkpoints").path }

  func path(_ steps: UInt64, _ file: String? = nil) -> String {
    let digits = String(steps)
    let folder = "\(directory)/step-\(String(repeating: "0", count: 8 - digits.count))\(digits)"
    return file.map { "\(folder)/\($0)" } ?? folder
  }

  static func manifest(_ steps: UInt64) -> CheckpointManifest {
    CheckpointManifest(
      run: "0123456789abcdef", software: "crosscut 0.1.0", network: "tiny", steps: steps,
      epoch: Double(steps) / 400, seed: .max, globalBatch: 8, trainingExamples: 3200,
      evaluationExamples: 100, datasetFingerprint: "fedcba98", workers: 4, fcNodes: 3, view: 2,
      loss: 0.1, history: ["resumed from step 250", "fc node 1 lost: \"näme\"\n"])
  }

  /// The written tensors, with anything changed.
  @discardableResult
  func write(
    _ steps: UInt64, keep: Int = 9, weight: [Float]? = nil, biasVelocity: [Float]? = nil,
    manifest: CheckpointManifest? = nil, calls: FileCalls = FileCalls()
  ) throws -> String {
    try (weight ?? self.weight).withUnsafeBufferPointer { weight in
      try bias.withUnsafeBufferPointer { bias in
        try weightVelocity.withUnsafeBufferPointer { weightVelocity in
          try (biasVelocity ?? self.biasVelocity).withUnsafeBufferPointer { biasVelocity in
            try CheckpointStore(
              directory: directory, keep: keep, calls: calls
            ).write(
              manifest ?? Self.manifest(steps),
              tensors: [
                .init(
                  name: "features.0.weight", shape: [2, 3], value: weight, velocity: weightVelocity),
                .init(name: "features.0.bias", shape: [2], value: bias, velocity: biasVelocity),
              ])
          }
        }
      }
    }
  }

  var names: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: directory).sorted() }
  }

  func bytes(_ steps: UInt64, _ file: String) throws -> [UInt8] {
    try [UInt8](Data(contentsOf: URL(fileURLWithPath: path(steps, file))))
  }

  func put(_ bytes: [UInt8], _ steps: UInt64, _ file: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path(steps, file)))
  }

  /// Why a checkpoint is refused, or nil.
  func refusal(_ steps: UInt64, verify: Bool = true) -> CheckpointError? {
    do throws(CheckpointError) {
      _ = try Checkpoint(path: path(steps), verify: verify)
      return nil
    } catch {
      return error
    }
  }

  /// The newest good one's steps, and what was said of the others.
  func newest() -> (steps: UInt64?, notes: [String]) {
    var notes: [String] = []
    do throws(CheckpointError) {
      let store = CheckpointStore(directory: directory, keep: 2)
      let found = try store.newestGood { notes.append($0) }
      return (found?.manifest.steps, notes)
    } catch {
      return (nil, notes + ["\(error)"])
    }
  }
}
