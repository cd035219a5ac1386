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
    var steps: UInt64 = 5
    var globalBatch = 7
    var evaluateEvery: UInt64 = 2
    var evaluationExamples: UInt64 = 9
    var maximumDelay: Microseconds = 4000
    /// Every message is delivered a second time with this probability in 1/256.
    var duplicates: UInt32 = 0
    /// (time, what).
    var faults: [(Microseconds, Fault)] = []
  }

  enum Fault {
    /// The process dies; its connections close, or its host vanishes without a word.
    case killWorker(rank: Int, connectionCloses: Bool)
    case addWorker
    case leaveWorker(rank: Int)
    /// Its compute thread hangs, its socket thread lives on.
    case hangWorker(rank: Int)
  }

  enum Shell {
    case server(ServerCore)
    case worker(WorkerCore)
    case fc(FCCore)
  }

  struct Node {
    var shell: Shell
    var alive = true
    var hung = false
    var computeFree: Microseconds = 0
    var exit: Stop?
    // The toy model's memory.
    var chunks: [[Int32]] = []
    var working: [[Int32]] = []
    var weights: [Int32] = []
    var columns = 0..<0
    var features: [[Int32]] = []
    var logits: [Int32] = []
    var gradients: [[Int32]] = []
    var span: WorkerCore.BatchSpan?
    var pass: FCCore.Pass?
    var weightGradient: [Int32] = []
    var stored: [Int32?] = []
  }

  enum Work {
    case server(OperationID, ServerCore.Operation)
    case worker(OperationID, WorkerCore.Operation)
    case fc(OperationID, FCCore.Operation)
  }

  enum Happening {
    case deliver(Message, to: NodeID)
    case compute(Work, at: NodeID)
    case tick(NodeID)
    case lost(NodeID)
    case fault(Fault)
  }

  let options: Options
  let model: ToyModel
  let plan: RunPlan
  let facts: DatasetFacts
  var random: RandomSequence
  var nodes: [NodeID: Node] = [:]
  var now: Microseconds = 1
  var queue: [(time: Microseconds, order: UInt64, what: Happening)] = []
  private var order: UInt64 = 0
  private var linkTimes: [String: Microseconds] = [:]
  private var nextIncarnation: UInt64 = 100
  var commits: [CommitRecord] = []
  var evaluations: [(step: UInt64, tally: Tally)] = []
  var measured: [UInt64] = []
  var notes: [String] = []
  var exit: Stop?
  var faultsHappened = 0

  init(seed: UInt64, _ options: Options) {
    self.options = options
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
    plan = RunPlan(
      globalBatch: options.globalBatch, workersWanted: options.workers,
      fcNodesWanted: options.fcNodes, chunks: chunks, featureSlices: cut.featureSlices,
      trainingSegments: cut.segmentCount(training: true),
      evaluationSegments: cut.segmentCount(training: false), length: .steps(options.steps),
      evaluation: .everySteps(options.evaluateEvery))
    model = ToyModel(
      columns: network.features, chunkSizes: chunks.chunks.map(\.range.count),
      globalBatch: options.globalBatch)
    facts = DatasetFacts(
      trainingExamples: 50, evaluationExamples: options.evaluationExamples, fingerprint: 1)
    random = RandomSequence(RandomStream(seed: seed, purpose: .simulation))

    let identity = Header(run: 77, view: 0, sender: .server, incarnation: 99)
    var server = Node(shell: .server(ServerCore(plan: plan, identity: identity, now: now)))
    server.chunks = model.chunkSizes.indices.map(model.initialChunk)
    server.working = server.chunks
    server.stored = Array(repeating: nil, count: model.columns)
    nodes[.server] = server
    schedule(after: 1, .tick(.server))
    for rank in 0..<options.workers { join(.worker, rank: rank) }
    for rank in 0..<options.fcNodes { join(.fc, rank: rank) }
    for (time, fault) in options.faults { schedule(after: time, .fault(fault)) }
  }

  // MARK: Running

  /// Runs to the end of the run, or to a bound of virtual time.
  mutating func run(until bound: Microseconds = 600_000_000) {
    while exit == nil, let next = popEarliest() {
      now = max(now, next.time)
      guard now < bound else { return }
      happen(next.what)
    }
  }

  private mutating func schedule(after delay: Microseconds, _ what: Happening) {
    order += 1
    queue.append((now + delay, order, what))
    var child = queue.count - 1
    while child > 0, earlier(child, (child - 1) / 2) {
      queue.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  private func earlier(_ a: Int, _ b: Int) -> Bool {
    (queue[a].time, queue[a].order) < (queue[b].time, queue[b].order)
  }

  private mutating func popEarliest() -> (time: Microseconds, order: UInt64, what: Happening)? {
    guard let first = queue.first else { return nil }
    queue.swapAt(0, queue.count - 1)
    queue.removeLast()
    var parent = 0
    while true {
      var smallest = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < queue.count && earlier(child, smallest) { smallest = child }
      if smallest == parent { break }
      queue.swapAt(parent, smallest)
      parent = smallest
    }
    return first
  }

  private mutating func delay(_ maximum: Microseconds) -> Microseconds {
    1 + Microseconds(RandomStream.below(UInt32(maximum), random.nextWord()))
  }

  /// Sends a message; the order on one link (sender, receiver, connection) is kept.
  private mutating func transmit(_ message: Message, from sender: NodeID, to receiver: NodeID) {
    let bulk: Bool =
      switch message.body {
      case .push, .parameters, .slice, .report, .activations, .featureGradients, .exchange: true
      default: false
      }
    let link = "\(sender.value)>\(receiver.value)\(bulk ? "b" : "c")"
    let time = max(now + delay(options.maximumDelay), (linkTimes[link] ?? 0) + 1)
    linkTimes[link] = time
    schedule(after: time - now, .deliver(message, to: receiver))
    if options.duplicates > RandomStream.below(256, random.nextWord()) {
      linkTimes[link] = time + 1
      schedule(after: time + 1 - now, .deliver(message, to: receiver))
    }
  }

  private mutating func join(_ role: Role, rank: Int) {
    nextIncarnation += 1
    let body = Body.join(
      Join(
        role: role, host: "host", processID: Int32(nextIncarnation), softwareVersion: "1",
        endpoint: role == .fc ? "sim" : "", preferredRank: Int32(rank)))
    let header = Header(run: 0, view: 0, sender: NodeID(0), incarnation: nextIncarnation)
    schedule(after: delay(20_000), .deliver(Message(header, body), to: .server))
  }

  private mutating func happen(_ what: Happening) {
    switch what {
    case .deliver(let message, let receiver): deliver(message, to: receiver)
    case .compute(let work, let node): finish(work, at: node)
    case .tick(let id):
      guard let node = nodes[id], node.alive, node.exit == nil else { return }
      step(id) { shell, now in
        switch shell {
        case .server(var core):
          let out = core.handle(.tick, now: now)
          return (.server(core), out.map(Directive.server))
        case .worker(var core):
          let out = core.handle(.tick, now: now)
          return (.worker(core), out.map(Directive.worker))
        case .fc(var core):
          let out = core.handle(.tick, now: now)
          return (.fc(core), out.map(Directive.fc))
        }
      }
      schedule(after: 100_000, .tick(id))
    case .lost(let id):
      step(.server) { shell, now in
        guard case .server(var core) = shell else { return (shell, []) }
        let out = core.handle(.connectionLost(id), now: now)
        return (.server(core), out.map(Directive.server))
      }
    case .fault(let fault): apply(fault)
    }
  }

  private func workerNode(rank: Int) -> NodeID? {
    guard case .server(let core)? = nodes[.server]?.shell else { return nil }
    return core.membership.ranked(.worker).first { $0.name.rank == rank }?.node
  }

  private mutating func apply(_ fault: Fault) {
    switch fault {
    case .killWorker(let rank, let closes):
      guard let id = workerNode(rank: rank), nodes[id]?.alive == true else { return }
      nodes[id]?.alive = false
      if closes { schedule(after: delay(3000), .lost(id)) }
    case .addWorker: join(.worker, rank: -1)
    case .hangWorker(let rank):
      guard let id = workerNode(rank: rank), nodes[id]?.alive == true else { return }
      nodes[id]?.hung = true
    case .leaveWorker(let rank):
      guard let id = workerNode(rank: rank), nodes[id]?.alive == true else { return }
      step(id) { shell, now in
        guard case .worker(var core) = shell else { return (shell, []) }
        let out = core.handle(.leave(reason: "asked to"), now: now)
        return (.worker(core), out.map(Directive.worker))
      }
    }
    faultsHappened += 1
  }

  // MARK: Directives

  enum Directive {
    case server(ServerCore.Directive)
    case worker(WorkerCore.Directive)
    case fc(FCCore.Directive)
  }

  private mutating func step(
    _ id: NodeID, _ body: (Shell, Microseconds) -> (Shell, [Directive])
  ) {
    guard let node = nodes[id], node.alive, node.exit == nil else { return }
    let (shell, directives) = body(node.shell, now)
    nodes[id]?.shell = shell
    for directive in directives { perform(directive, of: id) }
  }

  private mutating func deliver(_ message: Message, to receiver: NodeID) {
    if receiver == .server, message.header.sender == .server, case .join = message.body {
    } else if nodes[receiver] == nil {
      return
    }
    step(receiver) { shell, now in
      switch shell {
      case .server(var core):
        let out = core.handle(.message(message), now: now)
        return (.server(core), out.map(Directive.server))
      case .worker(var core):
        let out = core.handle(.message(message), now: now)
        return (.worker(core), out.map(Directive.worker))
      case .fc(var core):
        let out = core.handle(.message(message), now: now)
        return (.fc(core), out.map(Directive.fc))
      }
    }
  }

  private mutating func perform(_ directive: Directive, of id: NodeID) {
    switch directive {
    case .server(.send(let message, let to)), .worker(.send(let message, .member(let to))),
      .fc(.send(let message, .member(let to))):
      transmit(message, from: id, to: to)
    case .worker(.send(let message, _)), .fc(.send(let message, _)):
      transmit(message, from: id, to: .server)
    case .server(.welcome(let node, let incarnation)): welcome(node, incarnation)
    case .server(.compute(let operation, let work)):
      enqueue(.server(operation, work), at: id)
    case .worker(.compute(let operation, let work)): enqueue(.worker(operation, work), at: id)
    case .fc(.compute(let operation, let work)): enqueue(.fc(operation, work), at: id)
    case .server(.committed(let record)): commits.append(record)
    case .server(.evaluated(let step, let tally)): evaluations.append((step, tally))
    case .server(.measured(let turn, _, _)): measured.append(turn)
    case .server(.note(let text)): notes.append("\(now) server: \(text)")
    case .worker(.note(let text)), .fc(.note(let text)): notes.append("\(now) \(id): \(text)")
    case .server(.exit(let stop)): exit = stop
    case .worker(.exit(let stop)), .fc(.exit(let stop)): nodes[id]?.exit = stop
    case .server(.refuse(let incarnation, let reason)):
      notes.append("refused \(incarnation): \(reason)")
    case .worker(.prefetch), .worker(.dropPrefetched), .worker(.meet), .fc(.meet): break
    }
  }

  private mutating func welcome(_ id: NodeID, _ incarnation: UInt64) {
    guard nodes[id] == nil, case .server(let server)? = nodes[.server]?.shell,
      let record = server.membership[id]
    else { return }
    let identity = Header(run: 77, view: 0, sender: id, incarnation: incarnation)
    if record.name.role == .worker {
      let core = WorkerCore(
        plan: plan, identity: identity, serverIncarnation: 99, dataset: facts, now: now)
      var node = Node(shell: .worker(core))
      node.chunks = model.chunkSizes.map { Array(repeating: 0, count: $0) }
      nodes[id] = node
    } else {
      let sizes = Array(
        repeating: Array(repeating: options.globalBatch * 4, count: options.fcNodes),
        count: plan.trainingSegments - 1)
      let core = FCCore(
        plan: plan, identity: identity, serverIncarnation: 99, exchangeBytes: sizes, now: now)
      var node = Node(shell: .fc(core))
      node.columns = plan.featureSlices[record.name.rank]
      node.weights = node.columns.map(model.initialWeight)
      nodes[id] = node
    }
    schedule(after: delay(10_000), .tick(id))
  }

  // MARK: Computation

  private mutating func enqueue(_ work: Work, at id: NodeID) {
    guard var node = nodes[id] else { return }
    let start = max(node.computeFree, now)
    node.computeFree = start + delay(3000)
    let finish = node.computeFree
    nodes[id] = node
    schedule(after: finish - now, .compute(work, at: id))
  }

  private mutating func finish(_ work: Work, at id: NodeID) {
    guard let node = nodes[id], node.alive, !node.hung else { return }
    switch work {
    case .server(let operation, let what):
      let outcome = computeServer(what)
      step(id) { shell, now in
        guard case .server(var core) = shell else { return (shell, []) }
        let out = core.handle(.computed(operation, outcome), now: now)
        return (.server(core), out.map(Directive.server))
      }
    case .worker(let operation, let what):
      let outcome = computeWorker(what, at: id)
      step(id) { shell, now in
        guard case .worker(var core) = shell else { return (shell, []) }
        let out = core.handle(.computed(operation, outcome), now: now)
        return (.worker(core), out.map(Directive.worker))
      }
    case .fc(let operation, let what):
      let outcome = computeFC(what, at: id)
      step(id) { shell, now in
        guard case .fc(var core) = shell else { return (shell, []) }
        let out = core.handle(.computed(operation, outcome), now: now)
        return (.fc(core), out.map(Directive.fc))
      }
    }
  }

  private mutating func computeServer(_ operation: ServerCore.Operation) -> ServerCore.Outcome {
    guard var server = nodes[.server] else { return .done }
    defer { nodes[.server] = server }
    switch operation {
    case .apply(let chunk, let gradients, _):
      var sum = Array(repeating: Int32(0), count: model.chunkSizes[chunk])
      for gradient in gradients {
        for (index, value) in values([gradient]).enumerated() { sum[index] &+= value }
      }
      server.working[chunk] = zip(server.chunks[chunk], sum).map { model.step($0, $1) }
      return .applied(frame(server.working[chunk]))
    case .commit:
      swap(&server.chunks, &server.working)
      return .done
    case .snapshot: return .snapshot(server.chunks.map { frame($0) })
    case .tally(let counts, let lossSum):
      let labels = values([counts[0]])
      return .tallied(
        Tally(
          examples: labels.filter { $0 >= 0 }.count, lossSum: lossSum, top1: 0, top5: 0))
    case .store(let slice, let frames, _):
      for (offset, value) in values(frames).enumerated() {
        server.stored[slice.firstColumn + offset] = value
      }
      return .done
    case .save: return .done
    }
  }

  private mutating func computeWorker(
    _ operation: WorkerCore.Operation, at id: NodeID
  ) -> WorkerCore.Outcome {
    guard var node = nodes[id] else { return .done }
    defer { nodes[id] = node }
    switch operation {
    case .configure: return .done
    case .load(let span):
      node.span = span
      return .done
    case .install(let stage, let chunks):
      for (chunk, frame) in zip(plan.chunks.ofStage[stage], chunks) {
        node.chunks[chunk] = values([frame])
      }
      return .done
    case .forward: return .done
    case .features(let columns):
      guard let span = node.span else { return .failed("no batch") }
      let rows = model.features(
        isTraining: span.isTraining, firstPosition: span.firstPosition, rows: span.rows,
        chunks: node.chunks)
      let labels = (0..<span.rows).map { row -> Int32 in
        let index = span.firstPosition + UInt64(row)
        return span.isTraining || index < facts.evaluationExamples ? 1 : -1
      }
      return .features(
        columns.map { range in
          [frame(labels), frame(rows.flatMap { Array($0[range]) })]
        })
    case .absorb(let gradients, let columns):
      let parts = zip(gradients, columns).map { matrix(values($0), columns: $1.count) }
      node.gradients = (0..<(node.span?.rows ?? 0)).map { row in
        parts.flatMap { $0.isEmpty ? [] : $0[row] }
      }
      return .done
    case .backward(let stage):
      return .gradients(
        plan.chunks.ofStage[stage].map { chunk in
          frame(model.chunkGradient(chunk, node.gradients))
        })
    }
  }

  private mutating func computeFC(
    _ operation: FCCore.Operation, at id: NodeID
  ) -> FCCore.Outcome {
    guard var node = nodes[id] else { return .done }
    defer { nodes[id] = node }
    switch operation {
    case .start(let pass, let blocks):
      node.pass = pass
      node.features = blocks.sorted { $0.rows.lowerBound < $1.rows.lowerBound }.flatMap {
        matrix(values(Array($0.frames.dropFirst())), columns: node.columns.count)
      }
      let partial = model.partialLogits(node.features, node.weights)
      return .segment(
        FCCore.SegmentResult(
          outgoing: Array(repeating: [frame(partial)], count: options.fcNodes)))
    case .segment(let index, let received, let isLast, let deliver):
      let own = model.partialLogits(node.features, node.weights)
      if index == 1 {
        node.logits = own
        for frames in received where !frames.isEmpty {
          for (row, value) in values(frames).enumerated() { node.logits[row] &+= value }
        }
      }
      var result = FCCore.SegmentResult(
        outgoing: Array(repeating: [frame(own)], count: options.fcNodes))
      if isLast {
        result.outgoing = []
        let examples = node.pass?.examples ?? 0
        let counts = (0..<options.globalBatch).map { Int32($0 < examples ? 0 : -1) }
        result.report = (Double(examples), frame(counts))
      }
      if let deliver {
        let gradient = model.featureGradient(node.logits, node.weights)
        result.featureGradients = deliver.map { rows in
          [frame(gradient[rows].flatMap { $0 })]
        }
      }
      return .segment(result)
    case .gradients:
      node.weightGradient = node.weights.indices.map {
        model.weightGradient(node.features, node.logits, column: $0)
      }
      return .done
    case .apply:
      for index in node.weights.indices {
        node.weights[index] = model.step(node.weights[index], node.weightGradient[index])
      }
      return .done
    case .collect:
      let slice = Slice(
        key: 0, firstRow: 0, rows: 1, firstColumn: node.columns.lowerBound,
        columns: node.columns.count, isLast: true)
      return .slices([(slice, [frame(node.weights)])])
    }
  }
}
