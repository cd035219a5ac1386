import Testing
import Training

@testable import Nodes

@Suite struct EpochCountTests {
  private func resumed(batch: Int, epoch: Double) -> CheckpointManifest {
    CheckpointManifest(
      run: "1", software: "crosscut", network: "tiny", steps: 40, epoch: epoch, seed: 1,
      globalBatch: batch, trainingExamples: 1000, evaluationExamples: 100,
      datasetFingerprint: "1", workers: 1, fcNodes: 1, view: 1)
  }

  @Test func `a run that goes on with a smaller batch does not go back in the data`() {
    let count = EpochCount(resumed(batch: 32, epoch: 1.28), globalBatch: 16)
    #expect(count.epoch(afterSteps: 40, of: 1000) == 1.28)
    #expect(abs(count.epoch(afterSteps: 45, of: 1000) - 1.36) < 1e-12)
    // Also when it is resumed once more.
    let again = EpochCount(resumed(batch: 16, epoch: 1.36), globalBatch: 16)
    #expect(abs(again.epoch(afterSteps: 50, of: 1000) - 1.52) < 1e-12)
  }

  @Test func `with the batch as it was the sum is the same to the last bit`() {
    let epoch = 40.0 * 32 / 1000
    let count = EpochCount(resumed(batch: 32, epoch: epoch), globalBatch: 32)
    for steps in 40..<200 as Range<UInt64> {
      #expect(count.epoch(afterSteps: steps, of: 1000) == Double(steps) * 32 / 1000)
    }
    #expect(EpochCount(nil, globalBatch: 32).epoch(afterSteps: 5, of: 0) == 0)
  }
}
