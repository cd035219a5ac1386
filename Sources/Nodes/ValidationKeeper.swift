import Configuration
import Coordination
import Messages
import Training

/// What the evaluations of a run have shown, beside the parameters it belongs to: it goes into a
/// checkpoint with them and back with them, and what it has done to the learning rate goes to the
/// FC nodes.
struct ValidationKeeper {
  private(set) var progress: ValidationProgress
  /// What has become of the learning rate, for the server's compute thread. Going back to a
  /// checkpoint leaves operators' changes alone: the same steps go by the same rates again.
  let rates: RateSheet
  private let facts: RunFacts
  private let configuration: RunConfiguration

  /// - Parameters:
  ///   - resumed: the checkpoint that the run goes on from.
  ///   - changes: what operators have made of the learning rate, where it is known from elsewhere.
  init(
    _ configuration: RunConfiguration, _ facts: RunFacts, resumed: Checkpoint?,
    changes: [RateChange]? = nil
  ) {
    self.facts = facts
    self.configuration = configuration
    progress = resumed?.manifest.validation ?? ValidationProgress()
    rates = RateSheet(changes ?? resumed?.manifest.rateChanges ?? [])
    facts.keep(progress, rates.changes, steps: resumed?.manifest.steps ?? 0)
    rates.reductions = progress.reductions
  }

  /// Takes an evaluation.
  ///
  /// - Returns: what a person should read, and why the run should end, if it should.
  mutating func observe(_ step: UInt64, _ tally: Tally) -> (note: String?, stop: String?) {
    progress.observe(error: 1 - tally.accuracy, step: step, configuration.optimizer.decay)
    var note: String?
    if progress.reductions > rates.reductions {
      note =
        "the validation error has stopped falling: learning rate times "
        + "\(configuration.optimizer.decay.factor)"
    }
    rates.reductions = progress.reductions
    return (note, progress.reasonToStop(configuration.evaluation))
  }

  /// Notices that a checkpoint is begun, or that the run goes back to one.
  mutating func follow(_ operation: ServerCore.Operation) {
    switch operation {
    case .beginCheckpoint(let steps), .save(let steps):
      facts.keep(progress, rates.changes, steps: steps)
    case .rollBack(let steps):
      progress = facts.validation(steps: steps)
      rates.reductions = progress.reductions
    default: break
    }
  }

  /// Scales the schedule so that the learning rate of the weights is `rate` at `step`.
  ///
  /// - Returns: the factor.
  /// - Throws: `NodeError` where the schedule has come to 0, or the factor is beyond what a number can
  ///   say.
  func setRate(_ rate: Double, at step: UInt64) throws(NodeError) -> Double {
    let scheduled = configuration.learningRate(
      step: Int(step), of: Int(rates.totalSteps), reductions: progress.reductions)
    guard scheduled > 0 else {
      throw NodeError(
        "the schedule's learning rate is 0 at step \(step), which cannot be scaled to \(rate)")
    }
    let factor = rate / scheduled
    guard factor.isFinite, factor > 0 else {
      throw NodeError(
        "a learning rate of \(rate) is too \(factor > 0 ? "large" : "small") beside the schedule's,"
          + " \(scheduled) at step \(step)")
    }
    rates.changes = rates.changes.adding(RateChange(firstStep: step, factor: factor))
    return factor
  }

  /// The message with what has become of the learning rate, where it carries that.
  ///
  /// - Parameter steps: committed so far; an FC node may be one behind.
  func stamped(_ message: Message, steps: UInt64) -> Message {
    var message = message
    let changes = rates.changes.mattering(from: max(steps, 1) - 1)
    switch message.body {
    case .advance(var advance):
      advance.rateReductions = progress.reductions
      advance.rateChanges = changes
      message.body = .advance(advance)
    case .view(var view):
      view.rateReductions = progress.reductions
      view.rateChanges = changes
      message.body = .view(view)
    default: break
    }
    return message
  }
}
