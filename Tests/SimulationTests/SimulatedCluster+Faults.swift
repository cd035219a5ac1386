import Messages

@testable import Coordination

extension SimulatedCluster {
  enum Fault {
    /// The process dies; its connections close, or its host vanishes without a word.
    case kill(NodeName, connectionCloses: Bool)
    /// Its compute thread hangs, its socket thread lives on.
    case hang(NodeName)
    /// Its next computation fails.
    case breakDown(NodeName)
    /// Its operator wants it to go.
    case leave(NodeName)
    /// A process joins.
    case add(Role)
    /// The server's operator ends the run.
    case stop
    /// The operator loses patience. With no fc node or shard hanging the run must have ended by itself.
    case giveUp
    /// The server's process dies and is started again after a while.
    case killServer(down: Microseconds)
    /// Nothing gets through one way for a while: what is sent comes late, or not at all.
    case cut(Cut, Microseconds)
    /// The disk does not take the next checkpoints.
    case diskFull(writes: Int)
    /// For a time so many of 256 messages are lost.
    case blackout(Microseconds, probability: UInt32)
  }

  /// A way between two processes, in one direction.
  struct Cut {
    let from: NodeName
    let to: NodeName
    let loses: Bool
  }

  /// A fault counts only where it finds its victim: those that come too early or too late are
  /// nothing.
  mutating func apply(_ fault: Fault) {
    switch fault {
    case .add(let role): join(role, rank: -1)
    case .stop:
      if isUnderWay { stopRequested = true }
      requestStop()
    case .giveUp:
      if isUnderWay {
        stopRequested = true
        if holderFaults.isEmpty { violations.append("had to be given up: \(serverCore.state)") }
      }
      requestStop()
    case .blackout(let length, let probability):
      blackout = (now + length, probability)
      lossy = true
    case .killServer(let down):
      guard server.isRunning, exit == nil else { return }
      server.alive = false
      cutLinks(from: .server)
      notes.append("\(now) server dies for \(down)")
      holderFaults += holderNames
      schedule(after: down, .revive)
    case .cut(let cut, let length):
      partitions.append((cut, now + length))
      lossy = true
      // Silence makes a healthy node one that is lost.
      holderFaults += [cut.from, cut.to].filter(\.role.holdsParameters)
      if cut.from.role == .server || cut.to.role == .server { holderFaults += holderNames }
    case .diskFull(let writes): failingWrites += writes
    case .kill(let name, _), .hang(let name), .breakDown(let name), .leave(let name):
      guard let id = serverCore.membership.records.values.first(where: { $0.name == name })?.node,
        let node = nodes[id], node.isRunning
      else { return }
      apply(fault, to: node, id, name)
    }
    faultsHappened += 1
  }

  private var holderNames: [NodeName] {
    (0..<options.fcNodes).map { NodeName(.fc, $0) }
      + (1..<max(options.shards, 1)).map { NodeName(.shard, $0) }
  }

  private mutating func apply(
    _ fault: Fault, to node: SimulatedNode, _ id: NodeID, _ name: NodeName
  ) {
    if case .leave = fault {
      let holds = name.role.holdsParameters
      if holds, isUnderWay, plan.checkpointEvery == 0 { stopRequested = true }
      // Others may have to go back to where it went.
      if holds, plan.checkpointEvery > 0 { holderFaults.append(name) }
      // It goes at once where it has not seen a view, even if one is on its way.
      if holds, (node.fc?.viewNumber ?? node.shard?.viewNumber ?? 0) == 0 {
        holderFaults.append(name)
      }
      return handle(.leave, at: id)
    }
    faulty[id] = name
    if name.role.holdsParameters {
      holderFaults.append(name)
      // It says that it leaves, and in a run without checkpoints that is the end.
      if case .breakDown = fault, isUnderWay, plan.checkpointEvery == 0 { stopRequested = true }
    }
    switch fault {
    case .kill(_, let closes):
      node.alive = false
      cutLinks(from: id)
      if closes, let incarnation = incarnations[id] {
        schedule(after: delay(3000), .lost(id, incarnation: incarnation))
      }
    case .hang: node.hung = true
    default: node.broken = true
    }
  }

  /// Whether the run is on and its end has not been decided.
  private var isUnderWay: Bool {
    switch serverCore.state {
    case .gathering, .running, .paused: true
    case .ending, .farewell, .over: false
    }
  }

  /// No anonymous waiting: while nothing moves, following the waits from the server must lead to
  /// the nodes at fault and to no others.
  mutating func watchForStalls() {
    // Long enough for every heartbeat to tell of the stall, or to be missed.
    guard now > lastMove + 2_300_000, exit == nil, server.isRunning else { return }
    let core = serverCore
    let graph = WaitGraph(core, now: now)
    let story = "\(now), \(core.state), turn \(core.turn): \(graph.rootCause)"
    func violate(_ what: String) {
      guard violations.count < 5 else { return }
      violations.append("\(what) at \(story)")
    }
    if core.waits(now: now).isEmpty { violate("an anonymous wait") }
    switch core.state {
    case .farewell, .over: return
    case .gathering, .paused:
      // Who has not come may come late, who prepares is not late.
      guard !lossy else { return }
      for case .member(let name) in core.waits(now: now).map(\.owner) where isPrepared(name) {
        violate("a wait for \(name), which is well and prepared,")
      }
      return
    case .running, .ending: break
    }
    let atFault = Set(
      (core.view?.members ?? []).map(\.node).filter {
        faulty[$0] != nil && core.membership[$0] != nil
      }
      .compactMap { faulty[$0] })
    let found = Set(graph.culprits)
    if atFault.isEmpty {
      // Only a lost message leaves nobody at fault, and even that has a line to say.
      if !lossy { violate("a stall without a culprit") }
      if graph.rootCause.isEmpty { violate("a stall without a word") }
    } else if !lossy {
      if found.isEmpty || !found.isSubset(of: atFault) {
        violate("\(found) blamed for \(atFault)")
      } else {
        culpritsFound += 1
      }
    }
  }
}
