import Messages

/// FC nodes and shards that want to go: their slices go into a checkpoint first, so that next to
/// nothing is repeated when others take their places.
extension ServerCore {
  /// What one waits for that wants to go.
  struct Departure: Sendable {
    /// Committed when it asked: it may go once a checkpoint has so many steps, or more.
    var steps: UInt64
    /// Checkpoints with them that could not be made.
    var failures = 0
  }

  /// Checkpoints that fail before a node goes without one: more would keep it where the disk takes
  /// none, fewer would cost the steps since the last one for a piece that was lost.
  static let mostFailures = 3

  mutating func letGo(
    _ record: MemberRecord, _ reason: String, _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard plan.makesCheckpoints else {
      // Nowhere to put a checkpoint: the run ends, with its slice in the model.
      return end(
        Stop(outcome: .interrupted, reason: "\(record.name) leaves: \(reason)"), now, &out)
    }
    // One that takes over parameters holds nothing that the checkpoint does not.
    guard state == .running || state == .paused, record.state == .active else {
      guard case .ending = state else { return release(record, reason, now, &out) }
      // Its slices are for the model. The end may be taken back: then it is to go all the same.
      departing[record.node] = Departure(steps: committedSteps)
      return
    }
    guard departing[record.node] == nil else { return }
    departing[record.node] = Departure(steps: committedSteps)
    settleDepartures(now, &out)
  }

  /// Lets those go whose slices are in a checkpoint, and begins one for the others where that is
  /// possible now.
  ///
  /// - Parameter isBetweenTurns: whether a turn has just been committed or a view begun. In the
  ///   midst of a training turn nothing is begun: the commit is near, and a request that comes to a
  ///   node after it would be too late.
  mutating func settleDepartures(
    isBetweenTurns: Bool = false, _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard !departing.isEmpty, rescue == nil, state == .running || state == .paused, let program
    else { return }
    let safe = departing.filter { $0.value.steps <= checkpointSteps }.keys.min()
    if let safe, let record = membership[safe] {
      departing[safe] = nil
      // What the loss leads to settles the others.
      return release(
        record,
        checkpointSteps > 0 ? "its slices are in the checkpoint" : "no step has changed its slices",
        now, &out)
    }
    let isTraining = turn < program.count && program[turn].isTraining
    if isBetweenTurns || state == .paused || !isTraining { beginCheckpoint(now, &out) }
  }

  /// A checkpoint after `steps` steps could not be made: another is tried, but not for ever.
  mutating func departuresFailed(
    _ steps: UInt64, _ why: String, _ now: Microseconds, _ out: inout [Directive]
  ) {
    for node in departing.keys where departing[node]?.steps ?? .max <= steps {
      departing[node]?.failures += 1
    }
    let tired = departing.filter { $0.value.failures >= Self.mostFailures }.keys.min()
    guard let tired, let record = membership[tired] else { return settleDepartures(now, &out) }
    departing[tired] = nil
    let reason =
      "\(Self.mostFailures) checkpoints that were to take its slices have failed, the last one: \(why)"
    release(record, reason, now, &out)
  }

  /// Workers that go with the next commit: there is none to come, and may be none for long.
  mutating func releaseLeavingWorkers(_ now: Microseconds, _ out: inout [Directive]) {
    for record in membership.ranked(.worker) where record.state == .leaving {
      release(record, "the run pauses", now, &out)
    }
  }

  mutating func release(
    _ record: MemberRecord, _ reason: String, _ now: Microseconds, _ out: inout [Directive]
  ) {
    let stop = Stop(outcome: .interrupted, reason: "left the run")
    out.append(.send(message(.stop(stop)), to: record.node))
    lose(record, reason, now, &out)
  }
}
