/// What the cluster does in one turn of its clock.
package enum Turn: Hashable, Sendable {
  /// One optimizer step, counted from 0.
  case training(step: UInt64)
  /// One batch of the evaluation set, with the parameters after `step` steps.
  case evaluation(round: UInt64, batch: UInt64, step: UInt64)

  package var isTraining: Bool {
    if case .training = self { true } else { false }
  }
}

/// The whole run as a list of turns, computed, not stored: `evaluateEvery` training steps, then
/// the batches of an evaluation, and so on; an evaluation always ends the run.
///
/// Training steps and evaluation batches are turns of one clock, so commit, re-run and view
/// change are the same for both.
package struct TurnProgram: Hashable, Sendable {
  package let totalSteps: UInt64
  /// Training steps between evaluations.
  package let evaluateEvery: UInt64
  /// Turns of one evaluation; 0 if there is none.
  package let evaluationBatches: UInt64

  /// - Parameters:
  ///   - totalSteps: optimizer steps of the run.
  ///   - evaluateEvery: training steps between evaluations; 0 evaluates at the end only.
  ///   - evaluationBatches: `ceil(evaluation examples / global batch)`; 0 for no evaluation.
  package init(totalSteps: UInt64, evaluateEvery: UInt64, evaluationBatches: UInt64) {
    self.totalSteps = totalSteps
    self.evaluateEvery =
      evaluateEvery == 0 ? max(totalSteps, 1) : min(evaluateEvery, max(totalSteps, 1))
    self.evaluationBatches = evaluationBatches
  }

  private var cycle: UInt64 { evaluateEvery + evaluationBatches }

  /// Number of evaluations: one a full cycle, one for what is left.
  package var evaluations: UInt64 {
    evaluationBatches == 0 ? 0 : (totalSteps + evaluateEvery - 1) / evaluateEvery
  }

  /// Number of turns; the largest number where there are more.
  package var count: UInt64 { Self.sum(totalSteps, evaluations, of: evaluationBatches) }

  /// `first + rounds * batches`, or the largest number: the sizes of data sets come from other
  /// processes, and absurd ones must not trap.
  private static func sum(_ first: UInt64, _ rounds: UInt64, of batches: UInt64) -> UInt64 {
    let product = rounds.multipliedReportingOverflow(by: batches)
    let sum = first.addingReportingOverflow(product.partialValue)
    return product.overflow || sum.overflow ? .max : sum.partialValue
  }

  /// What turn `index` is; `index` must be below `count`.
  package subscript(index: UInt64) -> Turn {
    precondition(index < count, "turn \(index) of \(count)")
    let round = index / cycle
    let offset = index % cycle
    let firstStep = round * evaluateEvery
    let steps = min(evaluateEvery, totalSteps - firstStep)
    return offset < steps
      ? .training(step: firstStep + offset)
      : .evaluation(round: round, batch: offset - steps, step: firstStep + steps)
  }

  /// The first training turn at or after turn `index`; `count` if there is none.
  package func trainingTurn(from index: UInt64) -> UInt64 {
    guard index < count, case .evaluation(_, let batch, _) = self[index] else {
      return min(index, count)
    }
    return index + evaluationBatches - batch
  }

  /// The turn at which a run goes on whose parameters have seen `steps` steps: the one after the
  /// last of them.
  package func turn(afterSteps steps: UInt64) -> UInt64 {
    guard steps > 0 else { return 0 }
    return Self.sum(steps, (steps - 1) / evaluateEvery, of: evaluationBatches)
  }

  /// Training steps committed before turn `index`: the version of the parameters it reads.
  package func version(at index: UInt64) -> UInt64 {
    guard index < count else { return totalSteps }
    switch self[index] {
    case .training(let step): return step
    case .evaluation(_, _, let step): return step
    }
  }
}
