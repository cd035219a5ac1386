package import Messages
import Network
import Tensors

/// An FC node's protocol: one event in, a list of directives out. No socket, clock or thread.
///
/// A turn is a row of segments of computation with an exchange among the FC nodes between each two
/// (`DenseCut.segmentCount`). The gradient of a training turn is kept as the *working* version and
/// applied once the turn is known to be committed, so a turn is applied exactly once whatever dies
/// when (design: membership).
package struct FCCore: Sendable {
  /// What happens to an FC node.
  package enum Event: Sendable {
    case message(Message)
    case computed(OperationID, Outcome)
    case tick
    case leave(reason: String)
  }

  /// What the shell is asked to do.
  package enum Directive: Sendable {
    case send(Message, to: Destination)
    case compute(OperationID, Operation)
    /// The other FC nodes of the view: dial the new ones, hang up on others.
    case meet([Member])
    case note(String)
    case exit(Stop)
  }

  enum Stage: Hashable, Sendable {
    /// No view, or the last one.
    case idle
    /// Waits for the workers' features.
    case collecting
    /// Computes a segment.
    case computing(Int)
    /// Waits for the other FC nodes' parts of the exchange before segment `Int`.
    case exchanging(Int)
  }

  /// What has come for one turn.
  struct Inbox: Sendable {
    var features: [Int: FeatureBlock] = [:]
    var exchanges: [Int: [Int: [Frame]]] = [:]
  }

  let plan: RunPlan
  private let identity: Header
  /// Bytes of exchange `e` from position `j`: `[e][j]`.
  private let exchangeBytes: [[Int]]
  var gate: ViewGate
  var program: TurnProgram?
  var position = 0
  var turn: UInt64 = 0
  var stage = Stage.idle
  var inbox: [UInt64: Inbox] = [:]
  /// Turns below this one are known to be committed.
  private var committedBelow: UInt64 = 0
  /// A training turn whose gradient is computed or being computed, and not yet applied.
  private var working: UInt64?
  /// Training steps applied: must always equal the steps committed below the working turn.
  package private(set) var appliedSteps: UInt64 = 0

  var clock: PhaseClock
  var lastBeat: Microseconds?
  private var nextOperation: UInt64 = 0
  var outstanding: [OperationID: Operation] = [:]
  private var stopped = false

  /// - Parameters:
  ///   - identity: header of this node's messages; its view is filled in.
  ///   - exchangeBytes: size of exchange `e`'s payload from position `j`, `[e][j]`, so that a wrong
  ///     one is refused before the kernels see it.
  package init(
    plan: RunPlan, identity: Header, serverIncarnation: UInt64, exchangeBytes: [[Int]],
    now: Microseconds
  ) {
    self.plan = plan
    self.identity = identity
    self.exchangeBytes = exchangeBytes
    gate = ViewGate(run: identity.run, serverIncarnation: serverIncarnation)
    clock = PhaseClock(.waitingForView, now: now)
  }

  package var phase: PhaseClock.Phase { clock.phase }
  package var currentTurn: UInt64 { turn }
  package var viewNumber: UInt32 { gate.view?.number ?? 0 }
  package var droppedMessages: UInt64 { gate.droppedCount }
  package var dropped: [ViewGate.Reason: UInt64] { gate.dropped }

  /// Takes one event at time `now` and says what to do about it.
  package mutating func handle(_ event: Event, now: Microseconds) -> [Directive] {
    guard !stopped else { return [] }
    var out: [Directive] = []
    switch event {
    case .message(let message): receive(message, now, &out)
    case .computed(let id, let outcome): finished(id, outcome, now, &out)
    case .tick: beat(now, &out)
    case .leave(let reason):
      out.append(.send(message(.leave(Leave(reason: reason))), to: .server))
      out.append(.note("leaving: \(reason)"))
      if gate.view == nil {
        // Nobody counts on this node yet, so nobody will tell it to go.
        out.append(.exit(Stop(outcome: .interrupted, reason: reason)))
        stopped = true
      }
    }
    return out
  }

  // MARK: Messages

  func message(_ body: Body, _ frames: [Frame] = []) -> Message {
    var header = identity
    header.view = viewNumber
    return Message(header, body, frames: frames)
  }

  private mutating func receive(_ message: Message, _ now: Microseconds, _ out: inout [Directive]) {
    switch message.body {
    case .view(let view):
      guard gate.admitsFromServer(message.header) else { return }
      change(to: view, now, &out)
      return
    case .stop(let stop):
      guard gate.admitsFromServer(message.header) else { return }
      out.append(.send(self.message(.goodbye), to: .server))
      out.append(.exit(stop))
      stopped = true
      return
    default: break
    }
    guard gate.admit(message) else { return }
    switch message.body {
    case .activations(let activations):
      take(activations, from: message.header.sender, message.frames, now, &out)
    case .exchange(let exchange):
      take(exchange, from: message.header.sender, message.frames, now, &out)
    case .advance(let advance): committed(below: advance.turn, &out)
    default: gate.count(.unexpected)
    }
  }

  // MARK: Views

  private mutating func change(to view: View, _ now: Microseconds, _ out: inout [Directive]) {
    guard let early = gate.advance(to: view) else { return }
    let program = plan.program(view.dataset)
    self.program = program
    outstanding = [:]
    inbox = [:]
    stage = .idle
    guard let position = view.fcNodes.firstIndex(where: { $0.node == identity.sender }) else {
      out.append(.send(message(.goodbye), to: .server))
      out.append(.exit(Stop(outcome: .interrupted, reason: "left the run")))
      stopped = true
      return
    }
    self.position = position
    // Resume at r: a working turn below r is committed, even if its gradient is still being
    // computed (the compute thread works in order); a working turn r is discarded, which costs
    // nothing, since the next pass overwrites its gradient.
    committed(below: view.resumeTurn, &out)
    working = nil
    guard appliedSteps == program.version(at: view.resumeTurn) else {
      let reason =
        "view \(view.number) resumes after \(program.version(at: view.resumeTurn)) steps, "
        + "this fc node holds the parameters after \(appliedSteps)"
      out.append(.send(message(.leave(Leave(reason: reason))), to: .server))
      out.append(.exit(Stop(outcome: .failed, reason: reason)))
      stopped = true
      return
    }
    out.append(
      .note(
        "view \(view.number): \(view.workers.count) workers, \(view.fcNodes.count) fc nodes, "
          + "turn \(view.resumeTurn)"))
    out.append(.meet(view.fcNodes.filter { $0.node != identity.sender }))
    turn = view.resumeTurn
    if view.isFinal {
      clock.enter(.ending, now: now)
      compute(.collect, &out)
    } else {
      collect(now, &out)
    }
    for message in early { receive(message, now, &out) }
  }

  /// Turns below `bound` are committed: the gradient that waited for it is applied.
  private mutating func committed(below bound: UInt64, _ out: inout [Directive]) {
    committedBelow = max(committedBelow, bound)
    guard let working, working < committedBelow, let program,
      case .training(let step) = program[working]
    else { return }
    self.working = nil
    appliedSteps += 1
    compute(.apply(step: step), &out)
  }

  // MARK: A turn

  private mutating func collect(_ now: Microseconds, _ out: inout [Directive]) {
    stage = .collecting
    inbox = inbox.filter { $0.key >= turn }
    clock.enter(.waitingForWorkers, now: now)
    startIfComplete(now, &out)
  }

  var shares: [Range<Int>] {
    let count = gate.view?.workers.count ?? 0
    return (0..<count).map { plan.share(position: $0, workers: count) }
  }

  private mutating func startIfComplete(_ now: Microseconds, _ out: inout [Directive]) {
    guard stage == .collecting, let program, let view = gate.view, turn < program.count,
      let features = inbox[turn]?.features
    else { return }
    let shares = shares
    guard shares.indices.allSatisfy({ shares[$0].isEmpty || features[$0] != nil }) else { return }
    // Features of this turn mean that the turn before is committed.
    committed(below: turn, &out)
    let kind = program[turn]
    let step: UInt64 =
      switch kind {
      case .training(let step), .evaluation(_, _, let step): step
      }
    let pass = Pass(
      isTraining: kind.isTraining, step: step, examples: plan.examples(of: kind, view.dataset))
    stage = .computing(0)
    clock.enter(.compute, now: now)
    compute(.start(pass, features.sorted { $0.key < $1.key }.map(\.value)), &out)
  }

  private var segmentCount: Int {
    guard let program, turn < program.count else { return 0 }
    return program[turn].isTraining ? plan.trainingSegments : plan.evaluationSegments
  }

  private mutating func continueIfComplete(_ now: Microseconds, _ out: inout [Directive]) {
    guard case .exchanging(let index) = stage, let view = gate.view, let program else { return }
    let received = inbox[turn]?.exchanges[index - 1] ?? [:]
    guard received.count == view.fcNodes.count - 1 else { return }
    let ordered = view.fcNodes.indices.map { received[$0] ?? [] }
    stage = .computing(index)
    clock.enter(.compute, now: now)
    let isLast = index == segmentCount - 1
    compute(
      .segment(
        index: index, received: ordered, isLast: isLast,
        deliver: isLast && program[turn].isTraining ? shares : nil), &out)
  }

  private mutating func finishedSegment(
    _ index: Int, _ result: SegmentResult, _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard let view = gate.view, let program else { return }
    for (peer, frames) in result.outgoing.enumerated() where peer != position {
      out.append(
        .send(
          message(.exchange(Exchange(turn: turn, subBatch: 0, index: index)), frames),
          to: .member(view.fcNodes[peer].node)))
    }
    for (worker, rows) in shares.enumerated()
    where worker < result.featureGradients.count && !rows.isEmpty {
      let block = RowBlock(
        firstRow: rows.lowerBound, rows: rows.count, columns: plan.featureSlices[position].count)
      out.append(
        .send(
          message(
            .featureGradients(FeatureGradients(turn: turn, subBatch: 0, block: block)),
            result.featureGradients[worker]), to: .member(view.workers[worker].node)))
    }
    guard index == segmentCount - 1 else {
      stage = .exchanging(index + 1)
      clock.enter(.waitingForPeers, now: now)
      continueIfComplete(now, &out)
      return
    }
    if let report = result.report {
      let body = Report(
        turn: turn, subBatch: 0, lossSum: report.lossSum,
        examples: plan.examples(of: program[turn], view.dataset))
      out.append(.send(message(.report(body), [report.counts]), to: .serverBulk))
    }
    if program[turn].isTraining {
      // The workers already have what they need; the parameters' gradients are computed while
      // they go backward.
      working = turn
      compute(.gradients, &out)
    }
    clock.finishTurn()
    turn += 1
    committed(below: committedBelow, &out)
    collect(now, &out)
  }

  // MARK: What arrives

  private mutating func take(
    _ message: Activations, from sender: NodeID, _ frames: [Frame], _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    guard let worker = gate.view?.workers.firstIndex(where: { $0.node == sender }) else {
      return gate.count(.unexpected)
    }
    guard message.turn >= turn else { return gate.count(.stale) }
    guard message.turn <= turn + 1 else { return gate.count(.future) }
    let rows = shares[worker]
    let columns = plan.featureSlices[position].count
    guard message.block.firstRow == rows.lowerBound, message.block.rows == rows.count,
      message.block.columns == columns, let labels = frames.first,
      labels.byteCount == rows.count * 4,
      frames.dropFirst().reduce(0, { $0 + $1.byteCount }) == rows.count * columns * 4
    else { return gate.count(.wrongSize) }
    guard inbox[message.turn]?.features[worker] == nil else { return gate.count(.duplicate) }
    inbox[message.turn, default: Inbox()].features[worker] = FeatureBlock(
      rows: rows, frames: frames)
    clock.progressed(now: now)
    startIfComplete(now, &out)
  }

  private mutating func take(
    _ message: Exchange, from sender: NodeID, _ frames: [Frame], _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    guard let peer = gate.view?.fcNodes.firstIndex(where: { $0.node == sender }), peer != position
    else { return gate.count(.unexpected) }
    guard message.turn >= turn else { return gate.count(.stale) }
    guard message.turn <= turn + 1 else { return gate.count(.future) }
    guard exchangeBytes.indices.contains(message.index),
      exchangeBytes[message.index].indices.contains(peer),
      frames.reduce(0, { $0 + $1.byteCount }) == exchangeBytes[message.index][peer]
    else { return gate.count(.wrongSize) }
    guard inbox[message.turn]?.exchanges[message.index]?[peer] == nil else {
      return gate.count(.duplicate)
    }
    inbox[message.turn, default: Inbox()].exchanges[message.index, default: [:]][peer] = frames
    clock.progressed(now: now)
    continueIfComplete(now, &out)
  }

  // MARK: Computation

  private mutating func compute(_ operation: Operation, _ out: inout [Directive]) {
    let id = OperationID(nextOperation)
    nextOperation += 1
    outstanding[id] = operation
    out.append(.compute(id, operation))
  }

  private mutating func finished(
    _ id: OperationID, _ outcome: Outcome, _ now: Microseconds, _ out: inout [Directive]
  ) {
    if case .failed(let reason) = outcome {
      out.append(.send(message(.leave(Leave(reason: reason))), to: .server))
      out.append(.exit(Stop(outcome: .failed, reason: reason)))
      stopped = true
      return
    }
    guard let operation = outstanding.removeValue(forKey: id) else { return }
    clock.progressed(now: now)
    switch (operation, outcome) {
    case (.start, .segment(let result)): finishedSegment(0, result, now, &out)
    case (.segment(let index, _, _, _), .segment(let result)):
      finishedSegment(index, result, now, &out)
    case (.gradients, _), (.apply, _): break
    case (.collect, .slices(let slices)):
      for (slice, frames) in slices {
        out.append(.send(message(.slice(slice), frames), to: .serverBulk))
      }
    default: preconditionFailure("operation \(operation) ended with \(outcome)")
    }
  }
}
