import Foundation
import Nodes
import Testing
import Training

@testable import crosscut

/// What `--resume` and `--continue` stand for.
@Suite final class ResumedRunTests {
  private let directory: RunDirectory

  init() throws {
    directory = try RunDirectory(NSTemporaryDirectory() + "crosscut-resumed-\(UUID().uuidString)")
    // A run's directory has one.
    try "{}".write(toFile: directory.configuration, atomically: true, encoding: .utf8)
    try write(40)
  }

  deinit { try? FileManager.default.removeItem(atPath: directory.path) }

  private func write(_ steps: UInt64) throws {
    let manifest = CheckpointManifest(
      run: "01", software: "crosscut", network: "tiny", steps: steps, epoch: 0, seed: 1,
      globalBatch: 8, trainingExamples: 32, evaluationExamples: 8, datasetFingerprint: "02",
      workers: 1, fcNodes: 1, view: 1)
    let values: [Float] = [1, 2]
    try values.withUnsafeBufferPointer { values in
      _ = try CheckpointStore(directory: directory.checkpoints, keep: 9).write(
        manifest,
        tensors: [CheckpointTensor(name: "bias", shape: [2], value: values, velocity: values)])
    }
  }

  /// The launcher of a run was killed, and its server still saves when the next one looks.
  @Test(arguments: [["--resume", "RUN"], ["--continue", "--run-dir", "RUN"]])
  func `what was saved after a run was looked for is gone on from`(line: [String]) throws {
    let arguments = try ParsedArguments(
      line.map { $0 == "RUN" ? directory.path : $0 }, of: ServerCommand.command)
    let found = try #require(try ResumedRun(arguments))
    #expect(try ResumedRun.newer(than: found, in: directory, arguments) == nil)
    try write(80)
    let newer = try ResumedRun.newer(than: found, in: directory, arguments)
    #expect(newer?.checkpoint.manifest.steps == 80)
    #expect(ResumedRun.goesOn(found, in: directory, arguments))
  }

  @Test func `a checkpoint that was named is gone on from, whatever is saved meanwhile`() throws {
    let path = "\(directory.checkpoints)/step-00000040"
    let arguments = try ParsedArguments(["--resume", path], of: ServerCommand.command)
    let found = try #require(try ResumedRun(arguments))
    try write(80)
    #expect(try ResumedRun.newer(than: found, in: directory, arguments) == nil)
    #expect(!ResumedRun.goesOn(found, in: directory, arguments))
  }
}
