import Messages

@testable import Coordination

/// What a process knows of the learning rate, kept beside its core: written as messages come in,
/// read by the computation that is under way then.
struct ToyRates {
  /// How often evaluations have lowered it.
  var reductions = 0
  /// What an operator has made of it, by ascending first step.
  var changes: [RateChange] = []

  /// What a gradient is multiplied by. Odd, so that no bit of the gradient is lost.
  func rate(at step: UInt64) -> Int32 {
    let factor = Int32(truncatingIfNeeded: changes.factor(at: step).bitPattern >> 32)
    return ToyModel.mix(3, Int32(reductions), factor) | 1
  }

  /// Takes over what the server tells a member of it.
  mutating func follow(_ message: Message) {
    switch message.body {
    case .view(let view):
      reductions = view.rateReductions
      changes = view.rateChanges
    case .advance(let advance):
      reductions = advance.rateReductions
      changes = advance.rateChanges
    default: break
    }
  }
}

/// What the server remembers of evaluations: each of them lowers the rate. It belongs to the
/// parameters, and goes into checkpoints and back with them.
struct ToyValidation {
  struct Progress {
    var reductions = 0
    /// Steps before the last evaluation; one that is run again counts once.
    var lastStep: UInt64?
  }

  private(set) var progress = Progress()
  /// As it was when the checkpoint after so many steps was begun.
  private var kept: [UInt64: Progress] = [:]

  init() {}

  init(_ progress: Progress, steps: UInt64) {
    self.progress = progress
    kept[steps] = progress
  }

  func progress(afterSteps steps: UInt64) -> Progress { kept[steps] ?? Progress() }

  mutating func observe(_ step: UInt64) {
    if let last = progress.lastStep, step <= last { return }
    progress = Progress(reductions: progress.reductions + 1, lastStep: step)
  }

  /// Notices that a checkpoint is begun, or that the run goes back to one.
  mutating func follow(_ operation: ServerCore.Operation) {
    switch operation {
    case .beginCheckpoint(let steps), .save(let steps): kept[steps] = progress
    case .rollBack(let steps): progress = progress(afterSteps: steps)
    default: break
    }
  }
}

/// What the server's shell has to do with the rate.
extension SimulatedCluster {
  mutating func noteEvaluation(after step: UInt64) {
    server.validation.observe(step)
    let reductions = server.validation.progress.reductions
    if reductions > server.rates.reductions, step < serverCore.program?.totalSteps ?? 0 {
      happened.rateReductions += 1
    }
    server.rates.reductions = reductions
  }

  func noteRates(of operation: ServerCore.Operation) {
    server.validation.follow(operation)
    server.rates.reductions = server.validation.progress.reductions
  }

  /// The message with what has become of the rate, where it carries that.
  func stamped(_ message: Message) -> Message {
    var message = message
    // A member may be a step behind.
    let changes = rateChanges.mattering(from: max(serverCore.committedSteps, 1) - 1)
    switch message.body {
    case .advance(var advance):
      advance.rateReductions = server.rates.reductions
      advance.rateChanges = changes
      message.body = .advance(advance)
    case .view(var view):
      view.rateReductions = server.rates.reductions
      view.rateChanges = changes
      message.body = .view(view)
    default: break
    }
    return message
  }

  /// An operator sets the rate, from the step after the next on, as the server has it.
  ///
  /// While steps are repeated nobody does: a checkpoint from before a going back, of steps that were
  /// made with other rates, may come to count again, and the run in one loop knows one rate a step.
  mutating func setRate(_ factor: Double) {
    guard server.isRunning, exit == nil, let program = serverCore.program else { return }
    switch serverCore.state {
    case .gathering, .running, .paused: break
    case .ending, .farewell, .over: return
    }
    let made = commits.reduce(UInt64(0)) { most, record in
      if case .training(let step) = record.kind { max(most, step + 1) } else { most }
    }
    let first = serverCore.committedSteps + 2
    guard serverCore.committedSteps >= made, first < program.totalSteps else { return }
    happened.rateChanges += 1
    rateChanges = rateChanges.adding(RateChange(firstStep: first, factor: factor))
    server.rates.changes = rateChanges
    trajectory = Trajectory(model, plan, program, rateChanges)
  }
}
