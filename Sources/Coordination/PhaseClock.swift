package import Messages

/// Adds up where a node's time goes, phase by phase, from the moments its core changes phase.
package struct PhaseClock: Sendable {
  /// What a node is doing or waiting for.
  package enum Phase: String, Hashable, Sendable {
    case waitingForView = "waiting for a view"
    case configuring = "configuring"
    case data = "data"
    case convolutionForward = "conv forward"
    case waitingForParameters = "waiting for parameters"
    case waitingForFC = "waiting for fc"
    case convolutionBackward = "conv backward"
    case waitingForTurn = "waiting for the next turn"
    case compute = "compute"
    case waitingForWorkers = "waiting for workers"
    case waitingForPeers = "waiting for peers"
    case ending = "ending"
  }

  package private(set) var phase: Phase
  /// When the present phase began, or the node last moved within it.
  package private(set) var since: Microseconds
  private var phaseStart: Microseconds
  private var totals: [Phase: Microseconds] = [:]
  private var turns = 0
  private var last = StepTimes()

  package init(_ phase: Phase, now: Microseconds) {
    self.phase = phase
    since = now
    phaseStart = now
  }

  /// Changes phase; the time since the last change belongs to the old one.
  package mutating func enter(_ next: Phase, now: Microseconds) {
    totals[phase, default: 0] += now - min(now, phaseStart)
    phase = next
    phaseStart = now
    since = now
  }

  /// Notes that something moved without a change of phase.
  package mutating func progressed(now: Microseconds) { since = now }

  /// How long it has been in the present phase without having moved.
  func millisecondsSinceProgress(now: Microseconds) -> UInt64 { (now - min(now, since)) / 1000 }

  /// Counts a finished turn.
  package mutating func finishTurn() { turns += 1 }

  /// Mean times of the turns since the last call; the previous means when no turn has ended.
  package mutating func takeStepTimes(now: Microseconds) -> StepTimes {
    guard turns > 0 else { return last }
    // Not `enter`: asking for the times is no progress.
    totals[phase, default: 0] += now - min(now, phaseStart)
    phaseStart = now
    func mean(_ phase: Phase) -> Double { Double(totals[phase] ?? 0) / 1000 / Double(turns) }
    var times = StepTimes()
    times.data = mean(.data)
    times.convolutionForward = mean(.convolutionForward)
    times.waitingForFC = mean(.waitingForFC)
    times.convolutionBackward = mean(.convolutionBackward)
    times.waitingForParameters = mean(.waitingForParameters) + mean(.waitingForTurn)
    times.compute = mean(.compute)
    times.waitingForPeers = mean(.waitingForPeers) + mean(.waitingForWorkers)
    totals = [:]
    turns = 0
    last = times
    return times
  }
}
