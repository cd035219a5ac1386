import Messages
import Network
import Tensors

@testable import Coordination

extension SimulatedCluster {
  mutating func join(
    _ role: Role, rank: Int, within time: Microseconds = 20_000, after wait: Microseconds = 0
  ) {
    nextIncarnation += 1
    let body = Body.join(
      Join(
        role: role, host: "host", processID: Int32(nextIncarnation), softwareVersion: "1",
        endpoint: role.holdsParameters ? "sim" : "", preferredRank: Int32(rank)))
    let header = Header(run: 0, view: 0, sender: NodeID(0), incarnation: nextIncarnation)
    let link = Link(
      sender: NodeID(0), incarnation: nextIncarnation, receiver: .server, isBulk: false)
    schedule(
      after: wait + delay(time), .deliver(Message(header, body), to: .server, link: link))
  }

  // MARK: Cores

  enum Event {
    case message(Message)
    case tick
    case leave
  }

  mutating func handle(_ event: Event, at id: NodeID) {
    guard let node = nodes[id], node.isRunning else { return }
    guard node.preparing == nil else { return handle(event, whilePreparing: node, id) }
    switch event {
    case .message(let message):
      guard let message = tampered(message, at: node) else { return }
      if id == .server { return tellServer(.message(message)) }
      // What is under way to a process of the server's life before does not reach this one.
      if message.header.run == life.run { node.rates.follow(message) }
      for directive in node.worker?.handle(.message(message), now: now) ?? [] {
        perform(directive, of: id)
      }
      if bug != nil { tamper(with: node, before: message) }
      // Held only for the bug: a second holder would make every change a copy.
      let kept = bug == .hoardsMessages ? node.fc?.inbox ?? [:] : [:]
      for directive in tampered(node.fc?.handle(.message(message), now: now) ?? []) {
        perform(directive, of: id)
      }
      tamper(with: node, keeping: kept)
      for directive in tampered(node.shard?.handle(.message(message), now: now) ?? []) {
        perform(directive, of: id)
      }
    case .tick:
      if id == .server { return tellServer(.tick) }
      for directive in node.worker?.handle(.tick, now: now) ?? [] { perform(directive, of: id) }
      for directive in node.fc?.handle(.tick, now: now) ?? [] { perform(directive, of: id) }
      for directive in node.shard?.handle(.tick, now: now) ?? [] { perform(directive, of: id) }
    case .leave:
      let reason = "asked to"
      for directive in node.worker?.handle(.leave(reason: reason), now: now) ?? [] {
        perform(directive, of: id)
      }
      for directive in node.fc?.handle(.leave(reason: reason), now: now) ?? [] {
        perform(directive, of: id)
      }
      for directive in node.shard?.handle(.leave(reason: reason), now: now) ?? [] {
        perform(directive, of: id)
      }
    }
  }

  mutating func requestStop() {
    tellServer(.stop(reason: "asked to"))
  }

  mutating func tellServer(_ event: ServerCore.Event) {
    if bug != nil { tamperWithServer(before: event) }
    for directive in tampered(server.server?.handle(event, now: now) ?? []) { perform(directive) }
    guard let steps = best else { return }
    best = nil
    tellServer(.foundBest(steps: steps))
  }

  mutating func perform(_ directive: ServerCore.Directive) {
    switch directive {
    case .send(let message, let to): transmit(stamped(message), from: .server, to: to)
    case .welcome(let node, let incarnation): welcome(node, incarnation)
    case .refuse(let incarnation, let reason, _):
      notes.append("\(now) server refuses \(incarnation): \(reason)")
    case .compute(let operation, let work):
      noteRates(of: work)
      if case .rollBack(let steps) = work {
        audit.take(.wentOn(afterSteps: steps == .max ? serverCore.committedSteps : steps))
        goingsBack += 1
      }
      enqueue(.server(operation, work), at: .server)
    case .committed(let record):
      checkCommit(record)
      commits.append(record)
      audit.take(.committed(record))
    case .skipped(let turn, let step, _):
      skippedTurns.insert(turn)
      audit.take(.skipped(step: step))
    case .measured(let turn, _, _): measured.append(turn)
    case .evaluated(let step, let tally):
      evaluations.append((step, tally))
      noteEvaluation(after: step)
      if options.keepsBest { best = step }
    case .note(let text):
      notes.append("\(now) server: \(text)")
      if text.contains("is lost, not its") { happened.rescues += 1 }
      if text.contains("is not applied") { happened.poisoned += 1 }
    case .recut(let count): recut(among: count)
    case .exit(let stop): exit = stop
    }
  }

  mutating func perform(_ directive: WorkerCore.Directive, of id: NodeID) {
    perform(directive, of: id, as: Work.worker)
  }

  mutating func perform(_ directive: FCCore.Directive, of id: NodeID) {
    perform(directive, of: id, as: Work.fc)
  }

  mutating func perform(_ directive: ShardCore.Directive, of id: NodeID) {
    perform(directive, of: id, as: Work.shard)
  }

  /// What a member's shell does.
  private mutating func perform<Operation, Own>(
    _ directive: MemberDirective<Operation, Own>, of id: NodeID,
    as work: (OperationID, Operation) -> Work
  ) {
    switch directive {
    case .send(let message, .member(let to)): transmit(message, from: id, to: to)
    case .send(let message, _): transmit(message, from: id, to: .server)
    case .compute(let operation, let what): enqueue(work(operation, what), at: id)
    case .note(let text): notes.append("\(now) \(id): \(text)")
    case .exit(let stop): exited(id, stop)
    case .own, .meet: break
    }
  }

  /// A process ends; its connections close once what it has said is out.
  mutating func exited(_ id: NodeID, _ stop: Stop) {
    notes.append("\(now) \(id) exits, \(stop.outcome): \(stop.reason)")
    nodes[id]?.exit = stop
    let last = linkTimes.filter { $0.key.sender == id }.values.max() ?? now
    guard let incarnation = incarnations[id] else { return }
    schedule(after: max(last, now) - now + delay(3000), .lost(id, incarnation: incarnation))
  }

  // MARK: Computation

  mutating func enqueue(_ work: Work, at id: NodeID) {
    guard let node = nodes[id] else { return }
    node.computeFree = max(node.computeFree, now) + delay(3000)
    schedule(after: node.computeFree - now, .compute(work, at: id, of: node))
  }

  mutating func finish(_ work: Work, at id: NodeID) {
    guard let node = nodes[id], node.isRunning, !node.hung else { return }
    lastMove = now
    switch work {
    case .server(let operation, let what):
      var failure: String?
      if case .finishCheckpoint = what, failingWrites > 0 {
        failingWrites -= 1
        failure = "simulated: no space left"
      }
      let outcome = failure == nil ? node.perform(what) : .done
      if case .finishCheckpoint(let steps) = what {
        schedule(after: delay(20_000), .checkpointed(steps: steps, failure: failure, of: node))
      }
      checkTrajectory(after: what, at: node)
      tellServer(.computed(operation, outcome))
      for receiver in node.server?.cuts.keys.sorted() ?? [] {
        schedule(after: delay(2000), .drained(sender: id, receiver: receiver, of: node))
      }
    case .worker(let operation, let what):
      // What was asked for in an older view is done, and means nothing any more.
      if let core = node.worker, core.outstanding[operation] != nil { checkHolder(core, what) }
      let outcome = node.perform(what)
      for directive in node.worker?.handle(.computed(operation, outcome), now: now) ?? [] {
        perform(directive, of: id)
      }
    case .shard(let operation, let what):
      let outcome = node.perform(what)
      if !node.broken { checkTrajectory(after: what, at: node) }
      for directive in node.shard?.handle(.computed(operation, outcome), now: now) ?? [] {
        perform(directive, of: id)
      }
    case .fc(let operation, let what):
      let outcome = node.perform(what)
      if !node.broken { checkTrajectory(after: what, at: node) }
      for directive in node.fc?.handle(.computed(operation, outcome), now: now) ?? [] {
        perform(directive, of: id)
      }
      if node.fc?.handsInMore == true {
        schedule(after: delay(2000), .drained(sender: id, receiver: .server, of: node))
      }
    }
  }
}
