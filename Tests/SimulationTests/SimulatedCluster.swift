import Messages
import Network
import Tensors

@testable import Coordination

/// Whole clusters of real cores in one thread and virtual time, over a network that delays at
/// random. Links keep their order, as TCP does; different links overtake each other at will.
///
/// A seed fixes everything: the delays, the durations of computations, the faults.
struct SimulatedCluster {
  enum Happening {
    case deliver(Message, to: NodeID, link: Link)
    case compute(Work, at: NodeID, of: SimulatedNode)
    case tick(NodeID, of: SimulatedNode)
    case prepared(NodeID, of: SimulatedNode)
    case lost(NodeID, incarnation: UInt64)
    /// What `sender` had sent to `receiver` has gone out.
    case drained(sender: NodeID, receiver: NodeID, of: SimulatedNode)
    /// The server's disk has the checkpoint, or could not take it.
    case checkpointed(steps: UInt64, failure: String?, of: SimulatedNode)
    case fault(Fault)
    /// The server's process is started again.
    case revive
    /// It goes on after having been stopped at this time.
    case thaw(since: Microseconds)
  }

  enum Work {
    case server(OperationID, ServerCore.Operation)
    case worker(OperationID, WorkerCore.Operation)
    case fc(OperationID, FCCore.Operation)
    case shard(OperationID, ShardCore.Operation)
  }

  /// One direction of one connection. A joining process has no number yet: it is known by its
  /// incarnation.
  struct Link: Hashable {
    var sender: NodeID
    var incarnation: UInt64
    var receiver: NodeID
    var isBulk: Bool
  }

  let options: Options
  let model: ToyModel
  let network: NetworkPlan
  /// Of the server's present life.
  var plan: RunPlan
  let facts: DatasetFacts
  /// The server's present life, and what outlives it.
  var server: SimulatedNode
  let disk = SimulatedNode.Disk()
  var life = Header(run: 77, view: 0, sender: .server, incarnation: 99)
  /// What a process is called, by its number in the present life of the server.
  var names: [NodeID: NodeName] = [:]
  var incarnations: [NodeID: UInt64] = [:]
  var trajectory: Trajectory
  /// What operators have made of the learning rate: it outlives the server.
  var rateChanges: [RateChange] = []
  let poison: PoisonBox
  var random: RandomSequence
  var preparations: RandomSequence
  var nodes: [NodeID: SimulatedNode] = [:]
  var now: Microseconds = 1
  private var queue = TimeQueue<Happening>()
  var linkTimes: [Link: Microseconds] = [:]
  var nextIncarnation: UInt64 = 100
  /// What a dead process had sent is cut at these times, a different one for each connection.
  var cuts: [Link: Microseconds] = [:]
  /// Until when messages are lost, and how many of 256.
  var blackout: (end: Microseconds, probability: UInt32) = (0, 0)
  /// Links that are cut, one way each.
  var partitions: [(cut: Cut, end: Microseconds)] = []
  /// Since when the server's process is stopped, and what it has not got round to.
  var frozen: (since: Microseconds, backlog: [Happening])?
  /// Checkpoints that the disk will not take.
  var failingWrites = 0
  /// What is wrong on purpose.
  let bug: PlantedBug?
  /// When anything but a heartbeat last happened.
  var lastMove: Microseconds = 1
  var commits: [CommitRecord] = []
  /// Commits and goings back, in order: what a ledger of the run says.
  var audit: StepAudit
  /// Turns that were passed over at some time.
  var skippedTurns: Set<UInt64> = []
  var goingsBack = 0
  /// An evaluation that the server's core is yet to be told of as the best.
  var best: UInt64?
  var evaluations: [(step: UInt64, tally: Tally)] = []
  var measured: [UInt64] = []
  var notes: [String] = []
  /// What must never be and was.
  var violations: [String] = []
  /// Stalls in which a node was at fault and was found by following the waits.
  var culpritsFound = 0
  var exit: Stop?
  var happened = Happened()
  /// Members that a fault has made useless, whether or not the server knows.
  var faulty: [NodeID: NodeName] = [:]
  /// Whether somebody asked for the end of the run before it had come.
  var stopRequested = false
  var holderFaults: [NodeName] = []
  var lossy = false

  init(seed: UInt64, _ options: Options, bug: PlantedBug? = nil) {
    self.options = options
    self.bug = bug
    audit = StepAudit(globalBatch: options.globalBatch)
    let spec: [LayerSpec] = [
      LayerSpec(.convolution(Convolution(channels: 2, kernel: 2))),
      LayerSpec(.convolution(Convolution(channels: 1, kernel: 1))),
      LayerSpec(.fullyConnected(FullyConnected(units: 3))),
    ]
    let network: NetworkPlan
    do { network = try NetworkPlan(input: Shape(1, 3, 3), layers: spec) } catch {
      preconditionFailure("\(error)")
    }
    let plan = Self.plan(options, network, fcNodes: options.fcNodes)
    self.network = network
    self.plan = plan
    model = ToyModel(
      columns: network.features, chunkSizes: plan.chunks.chunks.map(\.range.count),
      globalBatch: options.globalBatch)
    facts = DatasetFacts(
      trainingExamples: 50, evaluationExamples: options.evaluationExamples, fingerprint: 1)
    random = RandomSequence(RandomStream(seed: seed, purpose: .simulation))
    preparations = RandomSequence(RandomStream(seed: seed, purpose: .simulation, first: 5))

    poison = PoisonBox(options.poison, isTransient: options.poisonIsTransient)
    trajectory = Trajectory(model, plan, plan.program(facts))
    server = SimulatedNode(
      server: ServerCore(plan: plan, identity: life, now: now), model, facts, disk)
    server.bug = bug
    nodes[.server] = server
    schedule(after: 1, .tick(.server, of: server))
    for rank in 0..<options.workers { join(.worker, rank: rank) }
    for rank in 0..<options.fcNodes { join(.fc, rank: rank) }
    for rank in 1..<max(options.shards, 1) { join(.shard, rank: rank) }
    for (time, fault) in options.faults { schedule(after: time, .fault(fault)) }
  }

  /// The server's core, for looking at.
  var serverCore: ServerCore {
    guard let core = server.server else { preconditionFailure("the server has no core") }
    return core
  }

  // MARK: Time

  /// Runs to the end of the run, or to a bound of virtual time; then until the last words have
  /// arrived.
  mutating func run(until bound: Microseconds = 600_000_000) {
    while exit == nil, let next = queue.popEarliest() {
      now = max(now, next.time)
      guard now < bound else { return }
      happen(next.what)
    }
    while let next = queue.popEarliest() {
      now = max(now, next.time)
      if case .deliver = next.what { happen(next.what) }
    }
  }

  mutating func schedule(after delay: Microseconds, _ what: Happening) {
    queue.push(now + delay, what)
  }

  mutating func delay(_ maximum: Microseconds) -> Microseconds {
    1 + Microseconds(below(UInt32(maximum)))
  }

  mutating func below(_ bound: UInt32) -> UInt32 { RandomStream.below(bound, random.nextWord()) }

  mutating func happen(_ what: Happening) {
    guard !hasToWait(what) else { return }
    switch what {
    case .deliver(let message, let receiver, let link):
      if let cut = cuts[link], now > cut { return }
      if case .heartbeat = message.body {} else { lastMove = now }
      deliver(message, to: receiver, link)
    case .compute(let work, let id, let node):
      guard nodes[id] === node else { return }
      finish(work, at: id)
      checkInvariants(of: id)
    case .tick(let id, let node):
      guard nodes[id] === node, node.isRunning else { return }
      // Before the server acts on what it sees.
      if id == .server { watchForStalls() }
      handle(.tick, at: id)
      schedule(after: 100_000, .tick(id, of: node))
    case .prepared(let id, let node):
      guard nodes[id] === node else { return }
      prepared(node, id)
    case .checkpointed(let steps, let failure, let node):
      guard node === server, node.isRunning else { return }
      tellServer(.checkpointed(steps: steps, failure: failure))
    case .drained(let sender, let receiver, let node):
      guard nodes[sender] === node, node.isRunning else { return }
      lastMove = now
      if sender == .server { return tellServer(.drained(receiver)) }
      for directive in node.fc?.handle(.drained, now: now) ?? [] { perform(directive, of: sender) }
    case .lost(let id, let incarnation):
      guard server.isRunning, serverCore.membership[id]?.incarnation == incarnation else { return }
      lastMove = now
      tellServer(.connectionLost(id))
    case .fault(let fault):
      lastMove = now
      apply(fault)
    case .revive:
      lastMove = now
      revive()
    case .thaw(let since): thaw(since)
    }
  }

  /// What the shells do before a core hears of a message.
  private mutating func deliver(_ message: Message, to receiver: NodeID, _ link: Link) {
    if receiver == .server {
      if case .join = message.body, !server.isRunning, exit == nil {
        // Whoever is not answered asks again.
        return schedule(after: 1_000_000, .deliver(message, to: receiver, link: link))
      }
      if case .heartbeat = message.body, server.isRunning, exit == nil,
        serverCore.membership[message.header.sender]?.incarnation != message.header.incarnation
      {
        // The reason says whom it is for: numbers are given anew in each life of the server.
        let refusal = Refusal(reason: "\(message.header.incarnation)", mayJoinAgain: true)
        return transmit(
          Message(life, .refusal(refusal)), from: .server, to: message.header.sender)
      }
    }
    if case .refusal(let refusal) = message.body {
      guard let incarnation = UInt64(refusal.reason) else { return }
      return joinAgain(receiver, incarnation)
    }
    handle(.message(message), at: receiver)
    checkInvariants(of: receiver)
  }

  // MARK: The network

  /// Sends a message; the order on one link is kept.
  mutating func transmit(_ message: Message, from sender: NodeID, to receiver: NodeID) {
    let isBulk: Bool =
      switch message.body {
      case .push, .parameters, .report, .activations, .featureGradients, .exchange: true
      // What the server gives back goes behind its word to take it.
      case .slice: sender != .server
      default: false
      }
    let link = Link(
      sender: sender, incarnation: message.header.incarnation, receiver: receiver, isBulk: isBulk)
    if case .heartbeat = message.body {} else { lastMove = now }
    if now < blackout.end, below(256) < blackout.probability {
      happened.lostMessages += 1
      return
    }
    var earliest = now
    for (cut, end) in partitions where now < end && matches(cut, from: sender, to: receiver) {
      if cut.loses {
        happened.lostMessages += 1
        return
      }
      earliest = max(earliest, end)
    }
    let copies = options.duplicates > below(256) ? 2 : 1
    happened.doubledMessages += copies - 1
    for _ in 0..<copies {
      let time = max(earliest + delay(options.maximumDelay), (linkTimes[link] ?? 0) + 1)
      linkTimes[link] = time
      if time - now > Options.usualDelay { happened.delayedMessages += 1 }
      schedule(after: time - now, .deliver(message, to: receiver, link: link))
    }
  }

  /// A connection that closes may lose the end of what was written to it, each its own part.
  mutating func cutLinks(from sender: NodeID) {
    for (link, last) in linkTimes where link.sender == sender && last > now {
      cuts[link] = now + Microseconds(below(UInt32(last - now + 1)))
    }
  }
}
