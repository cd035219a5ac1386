import Messages

@testable import Coordination

/// Processes that come back: a server after its death or a stop, members that a server does not know.
extension SimulatedCluster {
  /// The server's process is stopped: its connections stand, and what comes over them waits.
  mutating func freeze(_ length: Microseconds) {
    notes.append("\(now) server does not run for \(length)")
    frozen = (now, [])
    schedule(after: length, .thaw(since: now))
  }

  /// It goes on: the first that it sees is the clock.
  mutating func thaw(_ since: Microseconds) {
    guard let (start, backlog) = frozen, start == since else { return }
    frozen = nil
    lastMove = now
    let healthy = serverCore.membership.records.values.filter {
      faulty[$0.node] == nil && nodes[$0.node]?.isRunning == true
    }
    if bug != .blamesOthersForItsSleep { tellServer(.slept(now - since)) }
    tellServer(.tick)
    if !lossy, let lost = healthy.first(where: { serverCore.membership[$0.node] == nil }) {
      violations.append("\(now) \(lost.name) is blamed for the server's own sleep")
    }
    for what in backlog { happen(what) }
  }

  /// Keeps what happens at a server that does not run.
  mutating func hasToWait(_ what: Happening) -> Bool {
    guard frozen != nil else { return false }
    let isServers =
      switch what {
      case .deliver(_, let receiver, _): receiver == .server
      case .compute(_, let id, _), .tick(let id, _): id == .server
      case .drained(let sender, _, _): sender == .server
      case .lost, .checkpointed, .fault(.stop), .fault(.giveUp), .fault(.setRate): true
      case .prepared, .fault, .revive, .thaw: false
      }
    if isServers { frozen?.backlog.append(what) }
    return isServers
  }

  /// The server's life is over: another one follows at once, of a run with fewer FC nodes.
  mutating func recut(among count: Int) {
    happened.recuts += 1
    if !options.recutsOnLoss || count >= plan.fcNodesWanted || count < 1 {
      violations.append("\(now) \(plan.fcNodesWanted) fc nodes, cut anew among \(count)")
    }
    server.alive = false
    cutLinks(from: .server)
    plan = Self.plan(options, network, fcNodes: count)
    schedule(after: delay(20_000), .revive)
  }

  private var able: [SimulatedNode] {
    nodes.values.filter { $0.isRunning && !$0.hung && !$0.broken && $0.preparing == nil }
  }

  /// Whether the FC layers are cut anew rather than that somebody starts an FC node.
  var isLeftToTheOthers: Bool {
    options.recutsOnLoss && (serverCore.view != nil || !commits.isEmpty)
      && nodes.values.contains { $0.isRunning && !$0.columns.isEmpty }
  }

  /// Whether the run stands still although those are there who could go on with it.
  var waitsForNothing: Bool {
    guard options.recutsOnLoss, !commits.isEmpty, !options.schedule.followsHolders,
      serverCore.state == .gathering || serverCore.state == .paused
    else { return false }
    let able = able
    return able.contains { $0.fc != nil } && able.count { $0.shard != nil } >= options.shards - 1
      && able.count { $0.worker != nil } >= options.minimumWorkers
  }

  /// The server is started again, from what is on its disk, with a run number of its own. Members
  /// notice by and by and join it anew; those whose computation hangs do not.
  mutating func revive() {
    life.run += 1
    life.incarnation += 1
    let steps = disk.newest
    notes.append("\(now) server comes back after \(steps) steps")
    audit.take(.wentOn(afterSteps: steps))
    goingsBack += 1
    let survivors = nodes.filter { $0.key != .server && $0.value.isRunning && !$0.value.hung }
    for id in nodes.keys.sorted() where id != .server {
      nodes[id]?.alive = false
      cutLinks(from: id)
    }
    server = SimulatedNode(
      server: ServerCore(
        plan: plan, identity: life, resumeSteps: steps, goesOn: !commits.isEmpty, now: now), model,
      facts, disk)
    server.bug = bug
    server.rates.changes = rateChanges
    nodes = [.server: server]
    faulty = [:]
    let old = names
    names = [:]
    incarnations = [:]
    schedule(after: 1, .tick(.server, of: server))
    for id in survivors.keys.sorted() {
      guard let name = old[id], let node = survivors[id] else { continue }
      join(
        name.role, rank: name.rank, within: 600_000, after: restOfPreparation(node))
    }
  }

  /// The server's shell has answered the heartbeat of somebody who is no member: it may join again.
  mutating func joinAgain(_ id: NodeID, _ incarnation: UInt64) {
    guard let node = nodes[id], incarnations[id] == incarnation, node.isRunning, !node.hung,
      let name = names[id]
    else { return }
    node.alive = false
    cutLinks(from: id)
    notes.append("\(now) \(name) joins again")
    join(name.role, rank: -1, within: 20_000, after: restOfPreparation(node))
  }

  func matches(_ cut: Cut, from sender: NodeID, to receiver: NodeID) -> Bool {
    isSide(cut.from, sender) && isSide(cut.to, receiver)
  }

  private func isSide(_ name: NodeName, _ id: NodeID) -> Bool {
    name.role == .server ? id == .server : names[id] == name
  }
}
