import Messages

@testable import Coordination

extension SimulatedCluster {
  enum Fault {
    /// The process dies; its connections close, or its host vanishes without a word.
    case kill(NodeName, connectionCloses: Bool)
    /// Its connection to the server breaks while both live; it connects again at once.
    case reset(NodeName)
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
    /// The server's operator sets the learning rate, to the schedule's times this.
    case setRate(Double)
    /// The operator loses patience. With no fc node or shard hanging the run must have ended by itself.
    case giveUp
    /// The server's process dies and is started again after a while.
    case killServer(down: Microseconds)
    /// Nothing gets through one way for a while: what is sent comes late, or not at all.
    case cut(Cut, Microseconds)
    /// The server's process is stopped and goes on later, as if nothing had been.
    case freezeServer(Microseconds)
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

  /// What has happened so far, by kind: a test of one kind of fault must not pass for another's.
  struct Happened: Sendable {
    /// Members that died, lost their connection, hung, broke down, were told to leave, came later
    /// than the others.
    var kills = 0
    var resets = 0
    var hangs = 0
    var breakDowns = 0
    var leaves = 0
    var joins = 0
    var serverDeaths = 0
    /// Times that an operator set the learning rate.
    var rateChanges = 0
    /// Times that an evaluation lowered it.
    var rateReductions = 0
    /// Times that the FC layers were cut anew.
    var recuts = 0
    var freezes = 0
    /// Ends that an operator asked for.
    var stops = 0
    /// Times in which messages may be lost or held up; whether any is, the counts below say.
    var blackouts = 0
    var cuts = 0
    var fullDisks = 0
    /// Kills, hangs, break-downs and leaves of server shards.
    var shardFaults = 0
    /// Times that the slices of an FC node that was lost came from its mirror.
    var rescues = 0
    /// Steps that were not applied, for a number in them was not finite.
    var poisoned = 0

    /// Messages that got lost under way, those of a dead process's last moments not included.
    var lostMessages = 0
    /// Messages that came twice.
    var doubledMessages = 0
    /// Messages that took longer than any does in a cluster without special options.
    var delayedMessages = 0

    var faults: Int {
      kills + resets + hangs + breakDowns + leaves + joins + serverDeaths + freezes + stops
        + blackouts + cuts + fullDisks
    }

    static func + (left: Happened, right: Happened) -> Happened {
      var sum = left
      for count in [
        \Happened.kills, \.resets, \.hangs, \.breakDowns, \.leaves, \.joins, \.serverDeaths,
        \.freezes, \.stops, \.blackouts, \.cuts, \.fullDisks, \.lostMessages, \.doubledMessages,
        \.delayedMessages, \.recuts, \.rateChanges, \.rateReductions, \.shardFaults, \.rescues,
        \.poisoned,
      ] { sum[keyPath: count] += right[keyPath: count] }
      return sum
    }

    static func += (left: inout Happened, right: Happened) { left = left + right }
  }

  /// A fault counts only where it finds its victim: those that come too early or too late are
  /// nothing.
  mutating func apply(_ fault: Fault) {
    switch fault {
    case .add(let role):
      guard role != .fc || !isLeftToTheOthers else { return }
      happened.joins += 1
      join(role, rank: -1)
    case .stop:
      happened.stops += 1
      if isUnderWay { stopRequested = true }
      requestStop()
    case .giveUp:
      happened.stops += 1
      if isUnderWay {
        stopRequested = true
        if holderFaults.isEmpty || waitsForNothing {
          violations.append("had to be given up: \(serverCore.state)")
        }
      }
      requestStop()
    case .setRate(let factor): setRate(factor)
    case .blackout(let length, let probability):
      happened.blackouts += 1
      blackout = (now + length, probability)
      lossy = true
    case .killServer(let down):
      guard server.isRunning, exit == nil else { return }
      happened.serverDeaths += 1
      server.alive = false
      frozen = nil
      cutLinks(from: .server)
      notes.append("\(now) server dies for \(down)")
      holderFaults += holderNames
      schedule(after: down, .revive)
    case .freezeServer(let length):
      guard server.isRunning, exit == nil, frozen == nil else { return }
      happened.freezes += 1
      freeze(length)
    case .cut(let cut, let length):
      happened.cuts += 1
      partitions.append((cut, now + length))
      lossy = true
      // Silence makes a healthy node one that is lost.
      holderFaults += [cut.from, cut.to].filter(\.role.holdsParameters)
      if cut.from.role == .server || cut.to.role == .server { holderFaults += holderNames }
    case .diskFull(let writes):
      happened.fullDisks += 1
      failingWrites += writes
    case .kill(let name, _), .reset(let name), .hang(let name), .breakDown(let name),
      .leave(let name):
      guard let id = serverCore.membership.records.values.first(where: { $0.name == name })?.node,
        let node = nodes[id], node.isRunning
      else { return }
      apply(fault, to: node, id, name)
    }
  }

  private var holderNames: [NodeName] {
    (0..<options.fcNodes).map { NodeName(.fc, $0) }
      + (1..<max(options.shards, 1)).map { NodeName(.shard, $0) }
  }

  private mutating func apply(
    _ fault: Fault, to node: SimulatedNode, _ id: NodeID, _ name: NodeName
  ) {
    if name.role == .shard { happened.shardFaults += 1 }
    if case .leave = fault {
      happened.leaves += 1
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
    if case .reset = fault {
      happened.resets += 1
      if name.role.holdsParameters { holderFaults.append(name) }
      guard let incarnation = incarnations[id] else { return }
      return schedule(after: delay(3000), .lost(id, incarnation: incarnation))
    }
    faulty[id] = name
    if name.role.holdsParameters {
      holderFaults.append(name)
      // It says that it leaves, and in a run without checkpoints that is the end.
      if case .breakDown = fault, isUnderWay, plan.checkpointEvery == 0 { stopRequested = true }
    }
    switch fault {
    case .kill(_, let closes):
      happened.kills += 1
      node.alive = false
      cutLinks(from: id)
      if closes, let incarnation = incarnations[id] {
        schedule(after: delay(3000), .lost(id, incarnation: incarnation))
      }
    case .hang:
      happened.hangs += 1
      node.hung = true
    default:
      happened.breakDowns += 1
      node.broken = true
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
