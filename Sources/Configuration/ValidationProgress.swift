/// What the evaluations of a run have shown so far: when to lower the learning rate, when to stop.
///
/// A function of the sequence of errors alone. Who measures (the server; a single process) keeps
/// it, and it is part of what a run must remember to go on.
package struct ValidationProgress: Codable, Hashable, Sendable {
  /// The lowest error; `nil` before the first evaluation.
  package private(set) var best: Double?
  /// Evaluations since then.
  package private(set) var sinceBest: Int
  /// Evaluations since then or since the last reduction, whichever is later.
  package private(set) var sinceChange: Int
  /// How often the learning rate of the decay `plateau` has been multiplied by its factor.
  package private(set) var reductions: Int

  /// Steps before the last evaluation; one that is run again after a resume counts once.
  package private(set) var lastStep: UInt64?

  /// The start of a run, or what an earlier process remembered.
  package init(best: Double? = nil, sinceBest: Int = 0, sinceChange: Int = 0, reductions: Int = 0) {
    self.best = best
    self.sinceBest = sinceBest
    self.sinceChange = sinceChange
    self.reductions = reductions
  }

  /// Takes an evaluation's error (1 - accuracy); one that is no number is no lower.
  ///
  /// - Parameter step: optimizer steps before it; `nil` where none is ever run twice.
  package mutating func observe(error: Double, step: UInt64? = nil, _ decay: DecayConfiguration) {
    if let step {
      if let lastStep, step <= lastStep { return }
      lastStep = step
    }
    if error < (best ?? .infinity) * (1 - decay.threshold) {
      best = error
      (sinceBest, sinceChange) = (0, 0)
      return
    }
    sinceBest += 1
    sinceChange += 1
    guard decay.kind == .plateau, sinceChange >= decay.patience, reductions < decay.reductions
    else { return }
    reductions += 1
    sinceChange = 0
  }

  /// Why the run should end now, or `nil`.
  package func reasonToStop(_ evaluation: EvaluationConfiguration) -> String? {
    guard let patience = evaluation.earlyStop, sinceBest >= patience else { return nil }
    return "early stop: no lower validation error in \(sinceBest) evaluations"
  }
}
