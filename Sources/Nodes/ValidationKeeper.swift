import Configuration
import Coordination
import Messages
import Training

/// What the evaluations of a run have shown, beside the parameters it belongs to: it goes into a
/// checkpoint with them and back with them, and what it has done to the learning rate goes to the
/// FC nodes.
struct ValidationKeeper {
  private(set) var progress: ValidationProgress
  /// How often the learning rate was lowered, for the server's compute thread.
  let reductions = SharedNumber()
  private let facts: RunFacts
  private let configuration: RunConfiguration

  /// - Parameter resumed: the checkpoint that the run goes on from.
  init(_ configuration: RunConfiguration, _ facts: RunFacts, resumed: Checkpoint?) {
    self.facts = facts
    self.configuration = configuration
    progress = resumed?.manifest.validation ?? ValidationProgress()
    facts.keep(progress, steps: resumed?.manifest.steps ?? 0)
    reductions.value = UInt64(progress.reductions)
  }

  /// Takes an evaluation.
  ///
  /// - Returns: what a person should read, and why the run should end, if it should.
  mutating func observe(_ step: UInt64, _ tally: Tally) -> (note: String?, stop: String?) {
    progress.observe(error: 1 - tally.accuracy, step: step, configuration.optimizer.decay)
    var note: String?
    if UInt64(progress.reductions) > reductions.value {
      note =
        "the validation error has stopped falling: learning rate times "
        + "\(configuration.optimizer.decay.factor)"
    }
    reductions.value = UInt64(progress.reductions)
    return (note, progress.reasonToStop(configuration.evaluation))
  }

  /// Notices that a checkpoint is begun, or that the run goes back to one.
  mutating func follow(_ operation: ServerCore.Operation) {
    switch operation {
    case .beginCheckpoint(let steps), .save(let steps): facts.keep(progress, steps: steps)
    case .rollBack(let steps):
      progress = facts.validation(steps: steps)
      reductions.value = UInt64(progress.reductions)
    default: break
    }
  }

  /// The message with the learning rate's reductions so far, where it carries them.
  func stamped(_ message: Message) -> Message {
    var message = message
    switch message.body {
    case .advance(var advance):
      advance.rateReductions = progress.reductions
      message.body = .advance(advance)
    case .view(var view):
      view.rateReductions = progress.reductions
      message.body = .view(view)
    default: break
    }
    return message
  }
}
