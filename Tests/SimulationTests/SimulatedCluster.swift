import Messages
import Network
import Tensors

@testable import Coordination

/// Whole clusters of real cores in one thread and virtual time, over a network that delays at
/// random. Links keep their order, as TCP does; different links overtake each other at will.
///
/// A seed fixes everything: the delays, the durations of computations, the faults.
struct SimulatedCluster {
  struct Options {
    var workers = 2
    var fcNodes = 2
    /// Parameter servers, the coordinator included.
    var shards = 1
    var steps: UInt64 = 5
    var globalBatch = 7
    var evaluateEvery: UInt64 = 2
    var evaluationExamples: UInt64 = 9
    var maximumDelay: Microseconds = 4000
    /// Every message is delivered a second time with this probability in 1/256.
    var duplicates: UInt32 = 0
    /// Steps between checkpoints; 0 makes none.
    var checkpointEvery: UInt64 = 0
    var schedule = Schedule()
    /// What the machines of worker ranks have, cyclically, where the schedule follows holders.
    var heldGroups: [[Int]] = [[]]
    /// (time, what), in any order.
    var faults: [(Microseconds, Fault)] = []
  }

  enum Happening {
    case deliver(Message, to: NodeID, link: Link)
    case compute(Work, at: NodeID)
    case tick(NodeID)
    case lost(NodeID)
    /// The server's disk has the checkpoint.
    case checkpointed(steps: UInt64)
    case fault(Fault)
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
  let plan: RunPlan
  let facts: DatasetFacts
  let server: SimulatedNode
  var random: RandomSequence
  var nodes: [NodeID: SimulatedNode] = [:]
  private(set) var now: Microseconds = 1
  private var queue = TimeQueue<Happening>()
  private var linkTimes: [Link: Microseconds] = [:]
  private var nextIncarnation: UInt64 = 100
  /// What a dead process had sent is cut at these times, a different one for each connection.
  var cuts: [Link: Microseconds] = [:]
  /// Until when messages are lost, and how many of 256.
  var blackout: (end: Microseconds, probability: UInt32) = (0, 0)
  /// When anything but a heartbeat last happened.
  var lastMove: Microseconds = 1
  var commits: [CommitRecord] = []
  /// Commits and goings back, in order: what a ledger of the run says.
  var audit: StepAudit
  var evaluations: [(step: UInt64, tally: Tally)] = []
  var measured: [UInt64] = []
  var notes: [String] = []
  /// What must never be and was.
  var violations: [String] = []
  /// Stalls in which a node was at fault and was found by following the waits.
  var culpritsFound = 0
  var exit: Stop?
  var faultsHappened = 0
  /// Members that a fault has made useless, whether or not the server knows.
  var faulty: [NodeID: NodeName] = [:]
  /// Whether somebody asked for the end of the run before it had come.
  var stopRequested = false
  var holderFaults: [NodeName] = []
  var lossy = false

  init(seed: UInt64, _ options: Options) {
    self.options = options
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
    let cut = DenseCut(network, nodes: options.fcNodes)
    let chunks = ChunkTable(stages: network.stages, maximumElements: 4)
    var timing = RunPlan.Timing()
    timing.progressTimeout = 5000
    var plan = RunPlan(
      globalBatch: options.globalBatch, workersWanted: options.workers,
      fcNodesWanted: options.fcNodes, chunks: chunks, featureSlices: cut.featureSlices,
      trainingSegments: cut.segmentCount(training: true),
      evaluationSegments: cut.segmentCount(training: false), length: .steps(options.steps),
      evaluation: .everySteps(options.evaluateEvery), fcElements: network.features, timing: timing)
    plan.checkpointEvery = options.checkpointEvery
    plan.schedule = options.schedule
    plan.shards = ShardMap(chunks, count: options.shards)
    self.plan = plan
    model = ToyModel(
      columns: network.features, chunkSizes: chunks.chunks.map(\.range.count),
      globalBatch: options.globalBatch)
    facts = DatasetFacts(
      trainingExamples: 50, evaluationExamples: options.evaluationExamples, fingerprint: 1)
    random = RandomSequence(RandomStream(seed: seed, purpose: .simulation))

    let identity = Header(run: 77, view: 0, sender: .server, incarnation: 99)
    server = SimulatedNode(
      server: ServerCore(plan: plan, identity: identity, now: now), model, facts)
    nodes[.server] = server
    schedule(after: 1, .tick(.server))
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

  private mutating func happen(_ what: Happening) {
    switch what {
    case .deliver(let message, let receiver, let link):
      if let cut = cuts[link], now > cut { return }
      if case .heartbeat = message.body {} else { lastMove = now }
      handle(.message(message), at: receiver)
    case .compute(let work, let node): finish(work, at: node)
    case .tick(let id):
      guard let node = nodes[id], node.isRunning else { return }
      // Before the server acts on what it sees.
      if id == .server { watchForStalls() }
      handle(.tick, at: id)
      schedule(after: 100_000, .tick(id))
    case .checkpointed(let steps):
      let event = ServerCore.Event.checkpointed(steps: steps, failure: nil)
      for directive in server.server?.handle(event, now: now) ?? [] { perform(directive) }
    case .lost(let id):
      lastMove = now
      let out = server.server?.handle(.connectionLost(id), now: now) ?? []
      for directive in out { perform(directive) }
    case .fault(let fault):
      lastMove = now
      apply(fault)
    }
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
    if now < blackout.end, below(256) < blackout.probability { return }
    let copies = options.duplicates > below(256) ? 2 : 1
    for _ in 0..<copies {
      let time = max(now + delay(options.maximumDelay), (linkTimes[link] ?? 0) + 1)
      linkTimes[link] = time
      schedule(after: time - now, .deliver(message, to: receiver, link: link))
    }
  }

  /// A connection that closes may lose the end of what was written to it, each its own part.
  mutating func cutLinks(from sender: NodeID) {
    for (link, last) in linkTimes where link.sender == sender && last > now {
      cuts[link] = now + Microseconds(below(UInt32(last - now + 1)))
    }
  }

  mutating func join(_ role: Role, rank: Int) {
    nextIncarnation += 1
    let body = Body.join(
      Join(
        role: role, host: "host", processID: Int32(nextIncarnation), softwareVersion: "1",
        endpoint: role.holdsParameters ? "sim" : "", preferredRank: Int32(rank)))
    let header = Header(run: 0, view: 0, sender: NodeID(0), incarnation: nextIncarnation)
    let link = Link(
      sender: NodeID(0), incarnation: nextIncarnation, receiver: .server, isBulk: false)
    schedule(
      after: delay(20_000), .deliver(Message(header, body), to: .server, link: link))
  }

  private mutating func welcome(_ id: NodeID, _ incarnation: UInt64) {
    guard nodes[id] == nil, let record = serverCore.membership[id] else { return }
    let identity = Header(run: 77, view: 0, sender: id, incarnation: incarnation)
    if record.name.role == .worker {
      let core = WorkerCore(
        plan: plan, identity: identity, serverIncarnation: 99, dataset: facts,
        heldGroups: options.heldGroups[record.name.rank % options.heldGroups.count], now: now)
      nodes[id] = SimulatedNode(worker: core, model, plan, facts)
    } else if record.name.role == .shard {
      let core = ShardCore(
        plan: plan, identity: identity, serverIncarnation: 99, rank: record.name.rank, now: now)
      nodes[id] = SimulatedNode(shard: core, model, plan, facts)
    } else {
      let sizes = Array(
        repeating: Array(repeating: 4, count: options.fcNodes),
        count: plan.trainingSegments - 1)
      let core = FCCore(
        plan: plan, identity: identity, serverIncarnation: 99, exchangeRowBytes: sizes, now: now)
      nodes[id] = SimulatedNode(
        fc: core, columns: plan.featureSlices[record.name.rank], model, plan, facts)
    }
    schedule(after: delay(10_000), .tick(id))
  }

  // MARK: Cores

  enum Event {
    case message(Message)
    case tick
    case leave
  }

  mutating func handle(_ event: Event, at id: NodeID) {
    guard let node = nodes[id], node.isRunning else { return }
    switch event {
    case .message(let message):
      for directive in node.server?.handle(.message(message), now: now) ?? [] { perform(directive) }
      for directive in node.worker?.handle(.message(message), now: now) ?? [] {
        perform(directive, of: id)
      }
      for directive in node.fc?.handle(.message(message), now: now) ?? [] {
        perform(directive, of: id)
      }
      for directive in node.shard?.handle(.message(message), now: now) ?? [] {
        perform(directive, of: id)
      }
    case .tick:
      for directive in node.server?.handle(.tick, now: now) ?? [] { perform(directive) }
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
    for directive in server.server?.handle(.stop(reason: "asked to"), now: now) ?? [] {
      perform(directive)
    }
  }

  private mutating func perform(_ directive: ServerCore.Directive) {
    switch directive {
    case .send(let message, let to): transmit(message, from: .server, to: to)
    case .welcome(let node, let incarnation): welcome(node, incarnation)
    case .refuse(let incarnation, let reason):
      notes.append("\(now) server refuses \(incarnation): \(reason)")
    case .compute(let operation, let work):
      if case .rollBack(let steps) = work { audit.take(.wentOn(afterSteps: steps)) }
      enqueue(.server(operation, work), at: .server)
    case .committed(let record):
      commits.append(record)
      audit.take(.committed(record))
    case .measured(let turn, _, _): measured.append(turn)
    case .evaluated(let step, let tally): evaluations.append((step, tally))
    case .note(let text): notes.append("\(now) server: \(text)")
    case .recut(let count): violations.append("recut among \(count), which nobody asked for")
    case .exit(let stop): exit = stop
    }
  }

  private mutating func perform(_ directive: WorkerCore.Directive, of id: NodeID) {
    switch directive {
    case .send(let message, .member(let to)): transmit(message, from: id, to: to)
    case .send(let message, _): transmit(message, from: id, to: .server)
    case .compute(let operation, let work): enqueue(.worker(operation, work), at: id)
    case .note(let text): notes.append("\(now) \(id): \(text)")
    case .exit(let stop): exited(id, stop)
    case .prefetch, .dropPrefetched, .meet: break
    }
  }

  private mutating func perform(_ directive: FCCore.Directive, of id: NodeID) {
    switch directive {
    case .send(let message, .member(let to)): transmit(message, from: id, to: to)
    case .send(let message, _): transmit(message, from: id, to: .server)
    case .compute(let operation, let work): enqueue(.fc(operation, work), at: id)
    case .note(let text): notes.append("\(now) \(id): \(text)")
    case .exit(let stop): exited(id, stop)
    case .meet: break
    }
  }

  /// A process ends; its connections close once what it has said is out.
  mutating func exited(_ id: NodeID, _ stop: Stop) {
    notes.append("\(now) \(id) exits, \(stop.outcome): \(stop.reason)")
    nodes[id]?.exit = stop
    let last = linkTimes.filter { $0.key.sender == id }.values.max() ?? now
    schedule(after: max(last, now) - now + delay(3000), .lost(id))
  }

  // MARK: Computation

  mutating func enqueue(_ work: Work, at id: NodeID) {
    guard let node = nodes[id] else { return }
    node.computeFree = max(node.computeFree, now) + delay(3000)
    schedule(after: node.computeFree - now, .compute(work, at: id))
  }

  private mutating func finish(_ work: Work, at id: NodeID) {
    guard let node = nodes[id], node.isRunning, !node.hung else { return }
    lastMove = now
    switch work {
    case .server(let operation, let what):
      let outcome = node.perform(what)
      if case .finishCheckpoint(let steps) = what {
        schedule(after: delay(20_000), .checkpointed(steps: steps))
      }
      for directive in node.server?.handle(.computed(operation, outcome), now: now) ?? [] {
        perform(directive)
      }
    case .worker(let operation, let what):
      let outcome = node.perform(what)
      for directive in node.worker?.handle(.computed(operation, outcome), now: now) ?? [] {
        perform(directive, of: id)
      }
    case .shard(let operation, let what):
      let outcome = node.perform(what)
      for directive in node.shard?.handle(.computed(operation, outcome), now: now) ?? [] {
        perform(directive, of: id)
      }
    case .fc(let operation, let what):
      let outcome = node.perform(what)
      for directive in node.fc?.handle(.computed(operation, outcome), now: now) ?? [] {
        perform(directive, of: id)
      }
    }
  }
}
