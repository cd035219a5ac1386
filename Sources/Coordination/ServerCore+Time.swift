import Messages
import Network

/// What the server does because time has passed.
extension ServerCore {
  /// Looks at everything that has a deadline.
  mutating func tick(_ now: Microseconds, _ out: inout [Directive]) {
    if case .farewell(let stop, let deadline) = state, now >= deadline {
      state = .over
      let silent = membership.records.values.map { "\($0.name)" }.sorted()
      out.append(.note("no goodbye from \(silent.joined(separator: ", "))"))
      out.append(.exit(stop))
      return
    }
    let limit = plan.timing.memberTimeout * 1000
    let silent = membership.records.values.filter { now > $0.lastHeard + limit }
      .sorted { $0.node < $1.node }
    // What the loss of one leads to may have released another.
    for record in silent where membership[record.node] != nil {
      lose(record, "silent for \((now - record.lastHeard) / 1000) ms", now, &out)
    }
    goOnWithFewer(now, &out)
    endWhenMeasured(now, &out)
    decideOnFaults(now, &out)
    watchCheckpoint(now, &out)
    watchProgress(now, &out)
  }

  /// The server's own process did not run for `gap`: somebody stopped it, its machine was suspended,
  /// swapped or starved. Whoever seems to have been silent was not heard, so no deadline ran
  /// meanwhile.
  mutating func slept(_ gap: Microseconds, _ now: Microseconds, _ out: inout [Directive]) {
    // Played again from a file it may be anything.
    let gap = min(gap, now)
    func later(_ time: Microseconds) -> Microseconds { min(now, time + gap) }
    for node in membership.records.keys {
      membership.update(node) { $0.lastHeard = later($0.lastHeard) }
    }
    lastProgress = later(lastProgress)
    lastStall = later(lastStall)
    gatheringSince = later(gatheringSince)
    tooFewSince = tooFewSince.map(later)
    faultySince = later(faultySince)
    if let last = collecting?.lastPiece { collecting?.lastPiece = later(last) }
    if case .farewell(let stop, let deadline) = state {
      state = .farewell(stop, deadline: deadline + gap)
    }
    guard gap > plan.timing.memberTimeout * 1000 else { return }
    out.append(
      .note(
        "the server's process did not run for \(gap / 1000) ms (stopped, suspended or starved); "
          + "nobody is blamed for that silence"))
  }

  /// A run that goes on does not wait for ever for as many nodes as it began with: who was lost before
  /// may never come back. What it could go on with at any other time is enough after a while.
  private mutating func goOnWithFewer(_ now: Microseconds, _ out: inout [Directive]) {
    let patience = plan.timing.progressTimeout * 1000
    guard state == .gathering, goesOn else { return }
    guard canCompute(atLeast: plan.minimumWorkers) else {
      tooFewSince = tooFewSince ?? now
      return
    }
    // After so long without them, others may be on their way back as well.
    if let since = tooFewSince, now > since + patience { gatheringSince = now }
    tooFewSince = nil
    guard now > gatheringSince + patience else { return }
    let waited = "nobody else has come for \((now - gatheringSince) / 1000) ms"
    if isWhole {
      let workers = Self.count(ready(.worker).count, "worker")
      out.append(.note("\(waited): the run goes on with \(workers)"))
      state = .running
      return openView(now, &out)
    }
    let left = membership.ranked(.fc).count
    guard plan.recutsOnLoss, 0 < left, left < plan.fcNodesWanted,
      membership.ranked(.shard).count >= plan.shardsWanted
    else { return }
    out.append(.note("\(waited): the run goes on with \(Self.count(left, "fc node"))"))
    out.append(.recut(fcNodes: left))
    state = .over
  }

  /// What does not move: names the culprit, and does what can be done about it.
  private mutating func watchProgress(_ now: Microseconds, _ out: inout [Directive]) {
    let limit = plan.timing.progressTimeout * 1000
    // Only turns have a pace: parameters may take as long as they take to come or to be written.
    let patience = state == .running ? pace.patience(atMost: limit) : limit
    guard now > max(lastProgress, lastStall) + patience else { return }
    let graph = WaitGraph(self, now: now)
    let stuck = graph.culprits.filter(graph.isStuck)
    switch state {
    case .gathering, .paused: restoreAgain(now, &out)
    case .farewell, .over: return
    case .running:
      stalls += 1
      lastStall = now
      out.append(.note("no progress in turn \(turn): \(graph.rootCause)"))
      unblockTurn(stuck.isEmpty ? graph.culprits : stuck, isStuck: !stuck.isEmpty, now, &out)
    case .ending(let stop):
      let missing = (view?.parameterHolders ?? []).filter { !hasHandedIn($0.node) }
        .map(\.name)
      // Writing the model may take as long as it takes.
      guard !missing.isEmpty else { return }
      stalls += 1
      lastStall = now
      out.append(.note("the end does not come: \(graph.rootCause)"))
      guard !missing.contains(where: stuck.contains), stalls <= 2 else {
        let names = missing.map { "\($0)" }.joined(separator: ", ")
        return farewell(
          Stop(
            outcome: .failed,
            reason: "\(names) did not hand in its slices for \(milliseconds(now)) ms; "
              + stop.reason), now, &out)
      }
      askForSlices(now, &out)
    }
  }

  private func milliseconds(_ now: Microseconds) -> UInt64 { (now - lastProgress) / 1000 }

  /// A worker that hangs while its socket is healthy is sent away if another can do its work. Where
  /// nobody hangs a message has been lost: a new view runs the turn again, and if that is not
  /// enough, goes without a worker that cannot be talked with.
  private mutating func unblockTurn(
    _ culprits: [NodeName], isStuck: Bool, _ now: Microseconds, _ out: inout [Directive]
  ) {
    if isStuck || stalls > 1 {
      for culprit in culprits {
        guard let record = membership.ranked(.worker).first(where: { $0.name == culprit }),
          case let others = ready(.worker).filter({ $0.node != record.node }),
          !others.isEmpty, deal(others).missing.isEmpty
        else { continue }
        let reason = "no progress for \(milliseconds(now)) ms"
        out.append(
          .send(message(.stop(Stop(outcome: .failed, reason: reason))), to: record.node))
        return lose(record, reason, now, &out)
      }
    }
    guard !isStuck else { return }
    out.append(.note("running turn \(turn) again"))
    openView(now, &out)
  }
}
