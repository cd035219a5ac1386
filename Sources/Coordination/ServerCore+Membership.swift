import Messages
import Network

extension ServerCore {
  /// Examples that a data set may have, of each kind: far more than any has, and few enough to count
  /// the turns of a run.
  static let mostExamples: UInt64 = 1 << 32

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
    guard join.role == .worker || join.role.holdsParameters else { return drop(.unexpected) }
    let caller = vouched.flatMap { $0.incarnation == incarnation ? $0.caller : nil }
    let origin = Membership.origin(of: join, caller: caller)
    if let reason = lockOut(join, origin, now) {
      out.append(.refuse(incarnation: incarnation, reason: reason))
      return
    }
    if join.role == .fc, membership.ranked(.fc).count >= plan.fcNodesWanted {
      out.append(
        .refuse(
          incarnation: incarnation,
          reason: "all \(plan.fcNodesWanted) fc slices are taken", mayJoinAgain: true))
      return
    }
    if join.role == .shard, membership.ranked(.shard).count >= plan.shardsWanted {
      out.append(
        .refuse(
          incarnation: incarnation,
          reason: plan.shardsWanted == 0
            ? "the run has one parameter server: cluster.serverShards is 1"
            : "all \(plan.shards.count) server shards are taken",
          mayJoinAgain: plan.shardsWanted > 0))
      return
    }
    if join.role == .worker, membership.ranked(.worker).count >= Membership.mostWorkers {
      out.append(
        .refuse(
          incarnation: incarnation,
          reason: "the run has \(Membership.mostWorkers) workers, the most there may be",
          mayJoinAgain: true))
      return
    }
    let ranks =
      switch join.role {
      case .fc: 0..<plan.fcNodesWanted
      case .shard: 1..<plan.shards.count
      case .worker, .server, .observer: 0..<Int.max
      }
    let record = membership.add(
      join, incarnation: incarnation, ranks: ranks, origin: origin, now: now)
    noteGathered(now)
    out.append(.welcome(record.node, incarnation: incarnation))
    out.append(.note("\(record.name) joined: \(join.host), process \(join.processID)"))
  }

  /// Somebody has come, or is ready for the first time. Who comes in the place of one who has gone
  /// brings the run no nearer to its beginning: a process that dies again and again does not.
  private mutating func noteGathered(_ now: Microseconds) {
    let count = membership.records.values.reduce(0) { $0 + ($1.hasBeenReady ? 2 : 1) }
    guard count > mostGathered else { return }
    mostGathered = count
    gatheringSince = now
  }

  mutating func take(
    _ heartbeat: Heartbeat, from record: MemberRecord, _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    membership.update(record.node) {
      $0.heartbeat = heartbeat
      $0.hasBeenReady = $0.hasBeenReady || heartbeat.ready
    }
    guard record.state == .preparing, heartbeat.ready else { return }
    if !record.hasBeenReady { noteGathered(now) }
    // What it is to hold is being put together.
    if record.name.role.holdsParameters, rescue != nil { return }
    if record.name.role.holdsParameters, heartbeat.restored != requiredRestore {
      return restore(record, &out)
    }
    if record.name.role == .worker {
      guard let facts = heartbeat.dataset, facts.trainingExamples > 0 else {
        return drop(.unexpected)
      }
      guard max(facts.trainingExamples, facts.evaluationExamples) <= Self.mostExamples else {
        let reason =
          "\(record.name) says that it sees \(facts.trainingExamples) training and "
          + "\(facts.evaluationExamples) evaluation examples; there may be \(Self.mostExamples)"
        return refuse(record, reason, because: "its data set is too large", &out)
      }
      if let known = dataset, known != facts {
        let reason =
          "\(record.name) sees another data set: \(facts.trainingExamples) training and "
          + "\(facts.evaluationExamples) evaluation examples, fingerprint "
          + "\(String(facts.fingerprint, radix: 16)); the run has \(known.trainingExamples) and "
          + "\(known.evaluationExamples), \(String(known.fingerprint, radix: 16))"
        return refuse(record, reason, because: "its data set differs", &out)
      }
      if dataset == nil {
        dataset = facts
        let program = plan.program(facts)
        guard resumeSteps <= program.totalSteps else {
          let stop = Stop(
            outcome: .failed,
            reason: RunPlan.objection(toSteps: program.totalSteps, after: resumeSteps))
          return end(stop, now, &out)
        }
        self.program = program
        turn = program.turn(afterSteps: resumeSteps)
      }
    }
    membership.update(record.node) { $0.state = .ready }
    switch state {
    case .gathering:
      if canCompute(atLeast: plan.workersWanted), isWhole {
        state = .running
        openView(now, &out)
      }
    case .paused:
      if isWhole, isDone || canCompute(atLeast: plan.minimumWorkers) {
        openView(now, &out)
      }
    case .running, .ending, .farewell, .over:
      // A late worker is taken in at the next commit, so that nobody repeats work for it.
      break
    }
  }

  /// Turns away one that has been welcomed: it is not for this run.
  private mutating func refuse(
    _ record: MemberRecord, _ reason: String, because why: String, _ out: inout [Directive]
  ) {
    out.append(.refuse(incarnation: record.incarnation, reason: reason))
    out.append(.note("\(record.name) refused: \(why)"))
    membership.remove(record.node)
  }

  func ready(_ role: Role) -> [MemberRecord] {
    membership.ranked(role).filter { $0.state == .ready || $0.state == .active }
  }

  /// Whether everybody is there whose parameters nobody else has.
  var isWhole: Bool {
    ready(.fc).count >= plan.fcNodesWanted && ready(.shard).count >= plan.shardsWanted
  }

  /// Whether the next view would have other workers than the present one.
  var changeIsDue: Bool {
    guard let view else { return false }
    return ready(.worker).map(\.node) != view.workers.map(\.node)
  }

  /// "1 worker", "no workers".
  static func count(_ number: Int, _ noun: String) -> String {
    "\(number == 0 ? "no" : "\(number)") \(noun)\(number == 1 ? "" : "s")"
  }

  // MARK: Views

  /// Numbers a new view of everybody who is ready and starts it at the first uncommitted turn; a
  /// view without workers is a pause.
  mutating func openView(_ now: Microseconds, _ out: inout [Directive]) {
    guard let dataset else { return }
    let done = Stop(outcome: .finished, reason: "all steps done")
    // Nobody is needed for another turn, even if nobody is left.
    if view != nil, isDone { return end(done, now, &out) }
    let present = ready(.worker)
    let deal = deal(present)
    let workers = canCompute(atLeast: plan.minimumWorkers) ? present : []
    state = workers.isEmpty ? .paused : .running
    let next = View(
      number: (view?.number ?? 0) + 1, resumeTurn: turn, workers: workers.map(\.member),
      fcNodes: ready(.fc).map(\.member), shards: ready(.shard).map(\.member), dataset: dataset,
      skippedTurns: skippedTurns,
      holders: workers.isEmpty ? [] : deal.holders)
    announce(next, now, &out)
    defer { settleDepartures(isBetweenTurns: true, now, &out) }
    if workers.isEmpty, present.count >= plan.minimumWorkers {
      let missing = ShardDeal.name(deal.missing)
      return out.append(
        .note("paused: nobody has \(missing) of the data, waiting for one who does"))
    }
    if workers.isEmpty {
      let missing = plan.minimumWorkers - present.count
      out.append(
        .note("paused: \(Self.count(present.count, "worker")) left, waiting for \(missing) more"))
      return
    }
    // Also to workers that have them: after an aborted turn nobody can be sure.
    compute(.snapshot, &out)
    if isDone { end(done, now, &out) }
  }

  /// Makes `next` the view and tells it to its members and to those it leaves out.
  mutating func announce(_ next: View, _ now: Microseconds, _ out: inout [Directive]) {
    let told = Set(next.members.map(\.node))
      .union(membership.records.values.filter { $0.state == .leaving }.map(\.node))
    view = next
    // What belongs to committed turns goes on: their measure.
    outstanding = outstanding.filter {
      if case .tally = $0.value.operation { $0.value.turn < turn } else { false }
    }
    slices = [:]
    faults = [:]
    // One whose slices are all here is finished in any view.
    if let given = collecting, !given.missing.isEmpty {
      if given.isDue { checkpointAsked = true }
      collecting = nil
      out.append(.note("the checkpoint under way is given up: the view changes"))
    }
    ledger = TurnLedger(
      chunks: plan.chunks.chunks.count, workers: next.workers.count, now: now)
    reports = reports.filter { $0.key < turn }
    lastProgress = now
    for member in next.members {
      membership.update(member.node) { $0.state = .active }
    }
    for node in told.sorted() { out.append(.send(message(.view(next)), to: node)) }
    out.append(
      .note(
        "view \(next.number): \(next.workers.map { "\($0.name)" }.joined(separator: ", ")); "
          + "\(next.fcNodes.count) fc nodes"
          + (next.shards.isEmpty ? "" : ", \(next.shards.count + 1) server shards")
          + "; turn \(next.resumeTurn)"))
  }

  // MARK: Going

  mutating func take(
    _ leave: Leave, from record: MemberRecord, _ now: Microseconds, _ out: inout [Directive]
  ) {
    if leave.endsRun {
      let stop = Stop(outcome: .failed, reason: "\(record.name): \(leave.reason)")
      return end(stop, isWhole: true, now, &out)
    }
    out.append(.note("\(record.name) leaves: \(leave.reason)"))
    // It may not have heard that it is in no view any more.
    guard view?.member(record.node) != nil else {
      return release(record, leave.reason, now, &out)
    }
    if record.name.role == .worker, state == .paused {
      // There is no commit to go on to, and may be none for long.
      release(record, leave.reason, now, &out)
    } else if record.name.role == .worker {
      // It goes on to the next commit, so that its share of this turn is not lost.
      membership.update(record.node) { $0.state = .leaving }
    } else {
      letGo(record, leave.reason, now, &out)
    }
  }

  mutating func bid(_ record: MemberRecord, _ now: Microseconds, _ out: inout [Directive]) {
    guard case .farewell(let stop, _) = state else {
      return lose(record, "it said goodbye", now, &out)
    }
    membership.remove(record.node)
    guard membership.records.isEmpty else { return }
    state = .over
    out.append(.exit(stop))
  }

  /// A member is gone for good: its share goes to the others, or the run cannot go on.
  mutating func lose(
    _ record: MemberRecord, _ reason: String, _ now: Microseconds, _ out: inout [Directive]
  ) {
    membership.remove(record.node)
    departing[record.node] = nil
    out.append(.note("\(record.name) is gone: \(reason)"))
    let wasActive = view?.member(record.node) != nil
    switch state {
    case .running, .paused:
      guard wasActive else { return }
      if record.name.role.holdsParameters {
        loseSlice(record, now, &out)
      } else if isWhole {
        openView(now, &out)
      }
    case .ending(let stop):
      guard wasActive, record.name.role.holdsParameters, !hasHandedIn(record.node) else {
        return
      }
      // The operator wants an end; a run that has finished is worth the steps it takes to finish it
      // once more.
      if stop.outcome == .finished { return loseSlice(record, now, &out) }
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
    case .gathering:
      // What the run trains on is settled by the workers who are there when it starts.
      guard ready(.worker).isEmpty else { return }
      dataset = nil
      program = nil
    case .over: break
    }
  }

  // MARK: The end

  /// Ends the run: commits what is committed, asks for the slices if they can be had.
  ///
  /// - Parameter isWhole: whether a run that has failed still has parameters that belong together.
  mutating func end(
    _ stop: Stop, isWhole: Bool = false, _ now: Microseconds, _ out: inout [Directive]
  ) {
    switch state {
    case .ending, .farewell, .over: return
    case .gathering, .running, .paused: break
    }
    out.append(.note("ending: \(stop.reason)"))
    // Without every FC node and shard the parameters are not whole: the last checkpoint is what
    // remains.
    guard stop.outcome != .failed || isWhole, view != nil, self.isWhole else {
      return farewell(stop, now, &out)
    }
    state = .ending(stop)
    stalls = 0
    askForSlices(now, &out)
  }

  /// The last view: commit what is committed, then hand in the slices.
  mutating func askForSlices(_ now: Microseconds, _ out: inout [Directive]) {
    guard let view, let dataset else { return }
    announce(
      View(
        number: view.number + 1, resumeTurn: turn, workers: ready(.worker).map(\.member),
        fcNodes: ready(.fc).map(\.member), shards: ready(.shard).map(\.member), dataset: dataset,
        isFinal: true, skippedTurns: skippedTurns), now, &out)
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
}
