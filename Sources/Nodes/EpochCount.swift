import Training

/// Passes over the training set of a run that may have had another global batch before it was
/// resumed.
struct EpochCount {
  private let resumed: CheckpointManifest?
  private let globalBatch: Int

  /// - Parameter resumed: the checkpoint that the run goes on from.
  init(_ resumed: CheckpointManifest?, globalBatch: Int) {
    self.resumed = resumed
    self.globalBatch = globalBatch
  }

  /// The passes after `steps` steps; 0 for an unknown number of examples.
  func epoch(afterSteps steps: UInt64, of examples: UInt64) -> Double {
    guard examples > 0 else { return 0 }
    func passes(_ steps: UInt64) -> Double {
      Double(steps) * Double(globalBatch) / Double(examples)
    }
    // Where nothing has changed the same sum as ever, to the last bit.
    guard let resumed, resumed.steps <= steps, resumed.epoch != passes(resumed.steps) else {
      return passes(steps)
    }
    return resumed.epoch + passes(steps - resumed.steps)
  }
}
