import Messages
import Network

extension ServerCore {
  // MARK: Coming

  mutating func admit(
    _ join: Join, incarnation: UInt64, _ now: Microseconds, _ out: inout [Directive]
  ) {
    if let known = membership.find(incarnation: incarnation) {
      // The welcome may have been lost: say it again.
      membership.update(known.node) { $0.lastHeard = now }
      out.append(.welcome(known.node, incarnation: incarnation))
      return
    }
    switch state {
    case .ending, .farewell, .over:
      out.append(.refuse(incarnation: incarnation, reason: "the run is ending"))
      return
    case .gathering, .running, .paused: break
    }
    guard join.role == .worker || join.role == .fc else { return drop(.unexpected) }
    if join.role == .fc, membership.ranked(.fc).count >= plan.fcNodesWanted {
      out.append(
        .refuse(
          incarnation: incarnation,
          reason: "all \(plan.fcNodesWanted) fc slices are taken"))
      return
    }
    let record = membership.add(join, incarnation: incarnation, now: now)
    out.append(.welcome(record.node, incarnation: incarnation))
    out.append(.note("\(record.name) joined: \(join.host), process \(join.processID)"))
  }

  mutating func take(
    _ heartbeat: Heartbeat, from record: MemberRecord, _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    membership.update(record.node) { $0.heartbeat = heartbeat }
    guard record.state == .preparing, heartbeat.ready else { return }
    if record.name.role == .fc, heartbeat.restored != requiredRestore {
      return restore(record, &out)
    }
    if let facts = heartbeat.dataset {
      if let known = dataset, known != facts {
        out.append(
          .refuse(
            incarnation: record.incarnation,
            reason: "\(record.name) sees another data set: \(facts.trainingExamples) training and "
              + "\(facts.evaluationExamples) evaluation examples, fingerprint "
              + "\(String(facts.fingerprint, radix: 16)); the run has \(known.trainingExamples) and "
              + "\(known.evaluationExamples), \(String(known.fingerprint, radix: 16))"))
        out.append(.note("\(record.name) refused: its data set differs"))
        membership.remove(record.node)
        return
      }
      if dataset == nil {
        dataset = facts
        let program = plan.program(facts)
        self.program = program
        turn = program.turn(afterSteps: resumeSteps)
      }
    }
    membership.update(record.node) { $0.state = .ready }
    switch state {
    case .gathering:
      if ready(.worker).count >= plan.workersWanted, ready(.fc).count >= plan.fcNodesWanted {
        state = .running
        openView(now, &out)
      }
    case .paused:
      if ready(.fc).count >= plan.fcNodesWanted { openView(now, &out) }
    case .running, .ending, .farewell, .over:
      // A late worker is taken in at the next commit, so that nobody repeats work for it.
      break
    }
  }

  func ready(_ role: Role) -> [MemberRecord] {
    membership.ranked(role).filter { $0.state == .ready || $0.state == .active }
  }

  /// Whether the next view would have other workers than the present one.
  var changeIsDue: Bool {
    guard let view else { return false }
    return ready(.worker).map(\.node) != view.workers.map(\.node)
  }

  // MARK: Views

  /// Numbers a new view of everybody who is ready and starts it at the first uncommitted turn.
  mutating func openView(_ now: Microseconds, _ out: inout [Directive]) {
    guard let dataset, program != nil else { return }
    let workers = ready(.worker)
    let fcNodes = ready(.fc)
    guard !workers.isEmpty else {
      state = .paused
      out.append(.note("paused: no worker is left, waiting for one to join"))
      return
    }
    state = .running
    let next = View(
      number: (view?.number ?? 0) + 1, resumeTurn: turn, workers: workers.map(\.member),
      fcNodes: fcNodes.map(\.member), dataset: dataset)
    announce(next, now, &out)
    // Also to workers that have them: after an aborted turn nobody can be sure.
    compute(.snapshot, &out)
    if program.map({ turn >= $0.count }) ?? true {
      end(Stop(outcome: .finished, reason: "all steps done"), now, &out)
    }
  }

  /// Makes `next` the view and tells it to its members and to those it leaves out.
  mutating func announce(_ next: View, _ now: Microseconds, _ out: inout [Directive]) {
    let told = Set((next.workers + next.fcNodes).map(\.node))
      .union(membership.records.values.filter { $0.state == .leaving }.map(\.node))
    view = next
    outstanding = [:]
    if collecting != nil {
      collecting = nil
      out.append(.note("the checkpoint under way is given up: the view changes"))
    }
    ledger = TurnLedger(
      chunks: plan.chunks.chunks.count, workers: next.workers.count, now: now)
    reports = [:]
    lastProgress = now
    for member in next.workers + next.fcNodes {
      membership.update(member.node) { $0.state = .active }
    }
    for node in told.sorted() { out.append(.send(message(.view(next)), to: node)) }
    out.append(
      .note(
        "view \(next.number): \(next.workers.map { "\($0.name)" }.joined(separator: ", ")); "
          + "\(next.fcNodes.count) fc nodes; turn \(next.resumeTurn)"))
  }

  // MARK: Going

  mutating func take(
    _ leave: Leave, from record: MemberRecord, _ now: Microseconds, _ out: inout [Directive]
  ) {
    out.append(.note("\(record.name) leaves: \(leave.reason)"))
    guard record.name.role == .worker, view?.member(record.node) != nil else {
      return lose(record, leave.reason, now, &out)
    }
    // It goes on to the next commit, so that its share of this turn is not lost.
    membership.update(record.node) { $0.state = .leaving }
  }

  mutating func bid(_ record: MemberRecord, _ now: Microseconds, _ out: inout [Directive]) {
    membership.remove(record.node)
    if case .farewell(let stop, _) = state, membership.records.isEmpty {
      state = .over
      out.append(.exit(stop))
    } else if view?.member(record.node) != nil, state == .running {
      lose(record, "it said goodbye", now, &out)
    }
  }

  /// A member is gone for good: its share goes to the others, or the run cannot go on.
  mutating func lose(
    _ record: MemberRecord, _ reason: String, _ now: Microseconds, _ out: inout [Directive]
  ) {
    membership.remove(record.node)
    out.append(.note("\(record.name) is gone: \(reason)"))
    let wasActive = view?.member(record.node) != nil
    switch state {
    case .running, .paused:
      guard wasActive else { return }
      if record.name.role == .fc {
        rollBack(record, reason, now, &out)
      } else if ready(.fc).count < plan.fcNodesWanted {
        // The view will be made when the FC nodes are back.
        return
      } else {
        openView(now, &out)
      }
    case .ending(let stop):
      guard wasActive, record.name.role == .fc, collecting?.missing.contains(record.node) ?? false
      else { return }
      farewell(
        Stop(
          outcome: .failed,
          reason: "\(record.name) went before it handed in its slices; \(stop.reason)"), now,
        &out)
    case .farewell(let stop, _):
      if membership.records.isEmpty {
        state = .over
        out.append(.exit(stop))
      }
    case .gathering, .over: break
    }
  }

  // MARK: The end

  /// Ends the run: commits what is committed, asks for the slices if they can be had.
  mutating func end(_ stop: Stop, _ now: Microseconds, _ out: inout [Directive]) {
    switch state {
    case .ending, .farewell, .over: return
    case .gathering, .running, .paused: break
    }
    out.append(.note("ending: \(stop.reason)"))
    guard stop.outcome != .failed, let view, let dataset,
      ready(.fc).count == plan.fcNodesWanted
    else { return farewell(stop, now, &out) }
    state = .ending(stop)
    announce(
      View(
        number: view.number + 1, resumeTurn: turn, workers: ready(.worker).map(\.member),
        fcNodes: ready(.fc).map(\.member), dataset: dataset, isFinal: true), now, &out)
    collect(for: .model, now, &out)
  }

  /// Says the last word to everybody and waits a little for the answers.
  mutating func farewell(_ stop: Stop, _ now: Microseconds, _ out: inout [Directive]) {
    for node in membership.records.keys.sorted() {
      out.append(.send(message(.stop(stop)), to: node))
    }
    if membership.records.isEmpty {
      state = .over
      out.append(.exit(stop))
    } else {
      state = .farewell(stop, deadline: now + plan.timing.farewell * 1000)
    }
  }

  // MARK: Time

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
    for record in silent {
      lose(record, "silent for \((now - record.lastHeard) / 1000) ms", now, &out)
    }
    endWhenMeasured(now, &out)
    watchProgress(now, &out)
    watchTransfer(now, &out)
  }

  /// A turn that does not move: names the culprit, and sends away a worker that hangs while its
  /// socket is healthy.
  private mutating func watchProgress(_ now: Microseconds, _ out: inout [Directive]) {
    guard state == .running, now > lastProgress + plan.timing.progressTimeout * 1000,
      stallNoted != turn
    else { return }
    stallNoted = turn
    out.append(.note("no progress in turn \(turn): \(WaitGraph(self, now: now).rootCause)"))
    for culprit in WaitGraph(self, now: now).culprits where culprit.role == .worker {
      guard ready(.worker).count > 1,
        let record = membership.ranked(.worker).first(where: { $0.name == culprit })
      else { continue }
      lose(record, "no progress for \((now - lastProgress) / 1000) ms", now, &out)
      return
    }
  }
}
