import Training

/// What to do after a run has ended at a step whose numbers were not finite: as it was, it would end
/// at that step again.
package enum NonFiniteAdvice {
  /// The advice, behind where the logs are; `nil` for a run that failed for another reason, or has no
  /// checkpoint.
  ///
  /// - Parameter reason: why the run failed.
  package static func text(_ reason: String, _ directory: RunDirectory) -> String? {
    guard reason.contains("is not applied"), directory.hasCheckpoints else { return nil }
    let paths = CheckpointStore(directory: directory.checkpoints, keep: 1).list().map(\.path)
    guard !paths.isEmpty else { return nil }
    let resume = "crosscut train --resume"
    let earlier = paths.dropFirst().first.map {
      "; an earlier checkpoint, with the rate that it was made with: \(resume) \($0)"
    }
    return "; from its newest checkpoint it would fail there again: go on with a smaller learning"
      + " rate, \(resume) \(directory.path) --set optimizer.learningRate=X\(earlier ?? "")"
  }
}
