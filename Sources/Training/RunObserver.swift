/// Sees how a run goes, for callers in the same process.
package protocol RunObserver: Sendable {
  /// A training step's mean loss and its accuracy on the batch.
  func trained(step: UInt64, loss: Double, accuracy: Double)
  /// An evaluation with the parameters after `step` steps.
  func evaluated(step: UInt64, loss: Double, accuracy: Double, top5: Double)
}
