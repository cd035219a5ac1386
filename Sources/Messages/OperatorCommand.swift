/// What an operator has a running server do.
package enum OperatorCommand: Hashable, Sendable {
  /// End the run in order.
  case stop(reason: String)
  /// Make a checkpoint at the next opportunity, besides those that are due.
  case checkpointNow
  /// Scale the scheduled learning rate so that it has this value now; finite and above 0.
  case setLearningRate(Double)
  /// Have all nodes note what they do for so many turns, 1 to `Limits.traceTurns`.
  case trace(turns: Int)
  /// Have a node do a fault to itself.
  case drill(Drill, target: NodeName)
}

/// The server's answer to an operator's command.
package struct CommandReply: Hashable, Sendable {
  /// What has been done, or why it has not: one sentence.
  package var text: String
  /// Whether the command has been taken.
  package var ok: Bool

  package init(text: String, ok: Bool) {
    self.text = text
    self.ok = ok
  }
}

/// Somebody wants the last lines of a node's log.
package struct LogRequest: Hashable, Sendable {
  package var node: NodeName
  /// A process numbers its lines from 1: those after this one are wanted.
  package var after: UInt64
  /// Numbers the requests between the server and its members; 0 from observers.
  package var ticket: UInt32

  package init(node: NodeName, after: UInt64, ticket: UInt32 = 0) {
    self.node = node
    self.after = after
    self.ticket = ticket
  }
}

/// The last lines of a node's log, as frame 0.
package struct LogReply: Hashable, Sendable {
  package var ticket: UInt32
  /// Number of the last line of the log.
  package var last: UInt64
  /// Why there is no log; empty if there is one.
  package var problem: String

  package init(ticket: UInt32, last: UInt64, problem: String = "") {
    self.ticket = ticket
    self.last = last
    self.problem = problem
  }
}

/// An operator's change of the learning rate: the schedule's value times `factor` from a step on.
package struct RateChange: Codable, Hashable, Sendable {
  /// The first step, from 0, that goes by it.
  package var firstStep: UInt64
  /// Finite and above 0; of the schedule's value, not of the change before.
  package var factor: Double

  package init(firstStep: UInt64, factor: Double) {
    self.firstStep = firstStep
    self.factor = factor
  }
}

extension [RateChange] {
  /// What the scheduled learning rate is multiplied by at `step`: 1 before the first change.
  package func factor(at step: UInt64) -> Double {
    last { $0.firstStep <= step }?.factor ?? 1
  }

  /// Those that still matter to a node which may be as far back as `step`, oldest first.
  ///
  /// At most `Limits.rateChanges`.
  package func mattering(from step: UInt64) -> [RateChange] {
    let current = lastIndex { $0.firstStep <= step } ?? startIndex
    return Array(self[current...].prefix(Limits.rateChanges))
  }

  /// The changes with one more, which takes the place of those that were to come after it.
  package func adding(_ change: RateChange) -> [RateChange] {
    filter { $0.firstStep < change.firstStep } + [change]
  }
}
