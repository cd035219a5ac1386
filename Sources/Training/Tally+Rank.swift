package import Coordination

extension Tally {
  /// Nothing counted yet.
  package static let zero = Tally(examples: 0, lossSum: 0, top1: 0, top5: 0)

  /// Counts an example.
  ///
  /// - Parameter rank: how many logits are larger than the one of the true class.
  package mutating func count(rank: Int32) {
    examples += 1
    if rank < 1 { top1 += 1 }
    if rank < 5 { top5 += 1 }
  }

  /// Mean loss; NaN of nothing.
  package var meanLoss: Double { lossSum / Double(examples) }
  /// Part of the examples whose true class came first.
  package var accuracy: Double { Double(top1) / Double(examples) }
  /// Part of the examples whose true class was among the first five.
  package var top5Accuracy: Double { Double(top5) / Double(examples) }
}
