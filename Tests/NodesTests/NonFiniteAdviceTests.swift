import Foundation
import Nodes
import Testing

@Suite struct NonFiniteAdviceTests {
  @Test func `after numbers that were not finite the run is not resumed as it was`() throws {
    let directory = try RunDirectory(
      NSTemporaryDirectory() + "crosscut-advice-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(atPath: directory.path) }
    let reason = "step 370 is not applied: worker 0: the gradient of conv1 is inf"
    #expect(NonFiniteAdvice.text(reason, directory) == nil)
    for steps in ["step-00000360", "step-00000370"] {
      try FileManager.default.createDirectory(
        atPath: "\(directory.checkpoints)/\(steps)", withIntermediateDirectories: true)
    }
    let text = try #require(NonFiniteAdvice.text(reason, directory))
    #expect(text.contains("--resume \(directory.path) --set optimizer.learningRate=X"), "\(text)")
    #expect(text.hasSuffix("--resume \(directory.checkpoints)/step-00000360"), "\(text)")
    #expect(NonFiniteAdvice.text("worker 0: no data", directory) == nil)
  }
}
