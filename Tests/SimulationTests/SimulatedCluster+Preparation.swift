import Messages
import Network
import Tensors

@testable import Coordination

/// Processes between their welcome and their first word as a member that is ready.
extension SimulatedCluster {
  mutating func welcome(_ id: NodeID, _ incarnation: UInt64) {
    guard nodes[id] == nil, let record = serverCore.membership[id] else { return }
    names[id] = record.name
    incarnations[id] = incarnation
    let node = SimulatedNode(record.name, model, plan, facts)
    nodes[id] = node
    node.poison = poison
    let time = preparationTime()
    if time == 0 {
      begin(node, id)
    } else {
      node.preparing = PreparingCore(
        plan: plan, identity: identity(of: id), serverIncarnation: life.incarnation, now: now)
      node.preparedAt = now + time
      schedule(after: time, .prepared(id, of: node))
    }
    schedule(after: delay(10_000), .tick(id, of: node))
  }

  private func identity(of id: NodeID) -> Header {
    Header(run: life.run, view: 0, sender: id, incarnation: incarnations[id] ?? 0)
  }

  /// How long a process prepares: drawn from a sequence of its own, so that all else in a seed's run
  /// is what it is without.
  private mutating func preparationTime() -> Microseconds {
    let isFirst = now < options.preparation.firstBefore
    let most = isFirst ? options.preparation.first : options.preparation.later
    guard most > 0 else { return 0 }
    let isAtOnce = RandomStream.below(4, preparations.nextWord()) == 0
    let time = RandomStream.below(UInt32(most), preparations.nextWord())
    return isAtOnce ? 0 : Microseconds(time)
  }

  /// The compute thread has opened its data and planned its memory, or could not.
  mutating func prepared(_ node: SimulatedNode, _ id: NodeID) {
    guard node.isRunning, !node.hung else { return }
    lastMove = now
    node.preparing = nil
    guard !node.broken else {
      let reason = "simulated: out of memory"
      transmit(
        Message(identity(of: id), .leave(Leave(reason: reason))), from: id, to: .server)
      return exited(id, Stop(outcome: .failed, reason: reason))
    }
    begin(node, id)
  }

  /// Its core starts.
  private func begin(_ node: SimulatedNode, _ id: NodeID) {
    guard let name = names[id] else { return }
    let identity = identity(of: id)
    switch name.role {
    case .worker:
      node.worker = WorkerCore(
        plan: plan, identity: identity, serverIncarnation: life.incarnation, dataset: facts,
        heldGroups: options.heldGroups[name.rank % options.heldGroups.count], now: now)
    case .shard:
      node.shard = ShardCore(
        plan: plan, identity: identity, serverIncarnation: life.incarnation, rank: name.rank,
        now: now)
    case .fc, .server, .observer:
      var sizes = Array(
        repeating: Array(repeating: 4, count: plan.fcNodesWanted),
        count: plan.trainingSegments - 1)
      if plan.mirrorsFC { sizes.append(plan.featureSlices.ranges.map { 4 * $0.count }) }
      node.fc = FCCore(
        plan: plan, identity: identity, serverIncarnation: life.incarnation,
        exchangeRowBytes: sizes, now: now)
    }
  }

  /// What the shell of a member does about an event before its core is there.
  mutating func handle(_ event: Event, whilePreparing node: SimulatedNode, _ id: NodeID) {
    switch event {
    case .message(let message):
      guard let message = tampered(message, at: node) else { return }
      perform(node.preparing?.handle(message) ?? [], of: id)
    case .tick: perform(node.preparing?.tick(now: now) ?? [], of: id)
    case .leave:
      // Nobody counts on it yet.
      let reason = "asked to"
      perform(
        [
          .send(Message(identity(of: id), .leave(Leave(reason: reason)))),
          .exit(Stop(outcome: .interrupted, reason: reason)),
        ], of: id)
    }
  }

  private mutating func perform(_ directives: [PreparingCore.Directive], of id: NodeID) {
    for directive in directives {
      switch directive {
      case .send(let message): transmit(message, from: id, to: .server)
      case .exit(let stop): exited(id, stop)
      }
    }
  }

  /// What is left of a process's preparation: its compute thread ends no sooner.
  func restOfPreparation(_ node: SimulatedNode) -> Microseconds {
    node.preparing == nil ? 0 : node.preparedAt - min(now, node.preparedAt)
  }

  /// Whether a member is well and has been prepared: what it is waited for to be ready it is soon.
  func isPrepared(_ name: NodeName) -> Bool {
    guard
      let id = names.first(where: { $0.value == name && nodes[$0.key]?.isRunning == true })?.key,
      let node = nodes[id], faulty[id] == nil
    else { return false }
    return node.preparing == nil
  }
}
