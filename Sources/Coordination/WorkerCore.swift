package import Messages
import Network
import Tensors

/// A worker's protocol: one event in, a list of directives out. No socket, clock or thread.
///
/// A turn goes: load the share, forward stage by stage (each waits for its own parameters), give
/// the FC nodes their columns of the features, take back their gradients, backward stage by stage,
/// push each stage's gradient as it is made. In an evaluation turn it stops after the features.
package struct WorkerCore: Sendable {
  /// What happens to a worker.
  package enum Event: Sendable {
    case message(Message)
    case computed(OperationID, Outcome)
    case tick
    /// The operator wants this node to go.
    case leave(reason: String)
  }

  /// What the shell is asked to do.
  package enum Directive: Sendable {
    case send(Message, to: Destination)
    case compute(OperationID, Operation)
    /// Have this batch ready soon.
    case prefetch(BatchSpan)
    /// Forget prefetched batches: the share has changed.
    case dropPrefetched
    /// These are the FC nodes of the view: dial the new ones, hang up on others.
    case meet([Member])
    case note(String)
    case exit(Stop)
  }

  let plan: RunPlan
  private let identity: Header
  let dataset: DatasetFacts
  var gate: ViewGate
  var program: TurnProgram?
  private var position = 0
  var share = 0..<0
  private var configuredRows: Int?

  var turn: UInt64 = 0
  /// The last turn the server has allowed.
  private var allowedTurn: UInt64 = 0
  var nextStage = 0
  /// Latest version and bytes of each chunk received and not yet installed.
  private var arrived: [(version: UInt64, frame: Frame)?]
  private var installedVersion: [UInt64?]
  /// The version being taken over by the compute thread.
  var installing: [UInt64?]
  var gradients: [[Frame]?] = []

  var clock: PhaseClock
  var lastBeat: Microseconds?
  private var nextOperation: UInt64 = 0
  private var outstanding: [OperationID: Operation] = [:]
  private var stopped = false

  /// - Parameters:
  ///   - identity: header of this node's messages; its view is filled in.
  ///   - serverIncarnation: the server's process life, from its welcome.
  ///   - dataset: what this node's loader found.
  package init(
    plan: RunPlan, identity: Header, serverIncarnation: UInt64, dataset: DatasetFacts,
    now: Microseconds
  ) {
    self.plan = plan
    self.identity = identity
    self.dataset = dataset
    gate = ViewGate(run: identity.run, serverIncarnation: serverIncarnation)
    arrived = Array(repeating: nil, count: plan.chunks.chunks.count)
    installedVersion = Array(repeating: nil, count: plan.chunks.ofStage.count)
    installing = Array(repeating: nil, count: plan.chunks.ofStage.count)
    clock = PhaseClock(.waitingForView, now: now)
  }

  package var phase: PhaseClock.Phase { clock.phase }
  package var currentTurn: UInt64 { turn }
  package var viewNumber: UInt32 { gate.view?.number ?? 0 }
  package var droppedMessages: UInt64 { gate.droppedCount }
  /// Dropped messages by reason, for the log.
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
    case .parameters(let parameters): take(parameters, message.frames, now, &out)
    case .featureGradients(let gradients):
      take(gradients, from: message.header.sender, message.frames, now, &out)
    case .advance(let advance):
      allowedTurn = max(allowedTurn, advance.turn)
      clock.progressed(now: now)
      if clock.phase == .waitingForTurn { proceed(now, &out) }
    default: gate.count(.unexpected)
    }
  }

  // MARK: Views

  private mutating func change(to view: View, _ now: Microseconds, _ out: inout [Directive]) {
    guard let early = gate.advance(to: view) else { return }
    let program = plan.program(view.dataset)
    self.program = program
    // Whatever was under way belongs to the old view; late results are recognised by their id.
    outstanding = [:]
    for index in arrived.indices { arrived[index] = nil }
    for index in installedVersion.indices {
      installedVersion[index] = nil
      installing[index] = nil
    }
    guard let position = view.workers.firstIndex(where: { $0.node == identity.sender }) else {
      out.append(.send(message(.goodbye), to: .server))
      out.append(.exit(Stop(outcome: .interrupted, reason: "left the run")))
      stopped = true
      return
    }
    out.append(
      .note(
        "view \(view.number): \(view.workers.count) workers, \(view.fcNodes.count) fc nodes, "
          + "turn \(view.resumeTurn)"))
    out.append(.meet(view.fcNodes))
    self.position = position
    turn = view.resumeTurn
    allowedTurn = view.resumeTurn
    guard !view.isFinal else {
      clock.enter(.ending, now: now)
      return
    }
    let share = plan.share(position: position, workers: view.workers.count)
    if share != self.share { out.append(.dropPrefetched) }
    self.share = share
    if configuredRows != share.count {
      clock.enter(.configuring, now: now)
      configuredRows = share.count
      compute(.configure(rows: share.count), &out)
    } else {
      begin(now, &out)
    }
    for message in early { receive(message, now, &out) }
  }

  // MARK: A turn

  private func span(of index: UInt64) -> BatchSpan? {
    guard let program, index < program.count else { return nil }
    let turn = program[index]
    return BatchSpan(
      isTraining: turn.isTraining,
      firstPosition: plan.firstPosition(of: turn) + UInt64(share.lowerBound), rows: share.count)
  }

  /// Starts on `turn`, or waits for the end if there is none.
  private mutating func begin(_ now: Microseconds, _ out: inout [Directive]) {
    guard let span = span(of: turn) else {
      clock.enter(.waitingForTurn, now: now)
      return
    }
    nextStage = 0
    gradients = Array(repeating: nil, count: gate.view?.fcNodes.count ?? 0)
    clock.enter(.data, now: now)
    compute(.load(span), &out)
    for ahead in 1...2 {
      if let next = self.span(of: turn + UInt64(ahead)) { out.append(.prefetch(next)) }
    }
  }

  /// Moves the forward pass on, as far as parameters and permission allow.
  private mutating func proceed(_ now: Microseconds, _ out: inout [Directive]) {
    guard let program, turn < program.count else { return }
    let version = program.version(at: turn)
    if nextStage < plan.chunks.ofStage.count {
      if plan.chunks.ofStage[nextStage].isEmpty || installedVersion[nextStage] == version {
        clock.enter(.convolutionForward, now: now)
        compute(.forward(stage: nextStage), &out)
      } else {
        clock.enter(.waitingForParameters, now: now)
      }
      return
    }
    // New parameters for every stage mean that the turn before is committed; an evaluation turn
    // changes none, so there the server's word is needed.
    let impliedByParameters =
      turn > 0 && program[turn - 1].isTraining && !plan.chunks.chunks.isEmpty
    guard turn <= allowedTurn || impliedByParameters else {
      clock.enter(.waitingForTurn, now: now)
      return
    }
    guard share.count > 0 else { return passFeatures([], now, &out) }
    clock.enter(.convolutionForward, now: now)
    compute(.features(columns: plan.featureSlices.ranges), &out)
  }

  private mutating func passFeatures(
    _ frames: [[Frame]], _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard let view = gate.view, let program else { return }
    for (index, frames) in frames.enumerated() {
      let block = RowBlock(
        firstRow: share.lowerBound, rows: share.count, columns: plan.featureSlices[index].count)
      out.append(
        .send(
          message(.activations(Activations(turn: turn, subBatch: 0, block: block)), frames),
          to: .member(view.fcNodes[index].node)))
    }
    if program[turn].isTraining {
      clock.enter(.waitingForFC, now: now)
      if share.isEmpty { backward(fromStage: plan.chunks.ofStage.count - 1, now, &out) }
    } else {
      out.append(.send(message(.push(Push(turn: turn, chunk: nil))), to: .serverBulk))
      finishTurn(now, &out)
    }
  }

  private mutating func backward(
    fromStage stage: Int, _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard stage >= 0 else {
      if plan.chunks.chunks.isEmpty {
        out.append(.send(message(.push(Push(turn: turn, chunk: nil))), to: .serverBulk))
      }
      finishTurn(now, &out)
      return
    }
    clock.enter(.convolutionBackward, now: now)
    compute(.backward(stage: stage), &out)
  }

  private mutating func finishTurn(_ now: Microseconds, _ out: inout [Directive]) {
    clock.finishTurn()
    turn += 1
    begin(now, &out)
  }

  // MARK: Parameters and gradients that arrive

  private mutating func take(
    _ parameters: Parameters, _ frames: [Frame], _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard let program, arrived.indices.contains(parameters.chunk), frames.count == 1,
      frames[0].byteCount == plan.chunks.chunks[parameters.chunk].range.count * 4
    else { return gate.count(.wrongSize) }
    let version = program.version(at: turn)
    guard parameters.version >= version else { return gate.count(.stale) }
    guard parameters.version <= version + 1 else { return gate.count(.future) }
    if let present = arrived[parameters.chunk], present.version >= parameters.version {
      return gate.count(.duplicate)
    }
    arrived[parameters.chunk] = (parameters.version, frames[0])
    clock.progressed(now: now)
    installIfComplete(plan.chunks.chunks[parameters.chunk].stage, &out)
  }

  /// Hands a stage's parameters to the compute thread as soon as all its chunks are there: while
  /// the stages below still go backward.
  private mutating func installIfComplete(_ stage: Int, _ out: inout [Directive]) {
    let indices = plan.chunks.ofStage[stage]
    guard installing[stage] == nil, let version = arrived[indices.lowerBound]?.version,
      installedVersion[stage].map({ $0 < version }) ?? true,
      indices.allSatisfy({ arrived[$0]?.version == version })
    else { return }
    installing[stage] = version
    compute(.install(stage: stage, chunks: indices.compactMap { arrived[$0]?.frame }), &out)
  }

  private mutating func take(
    _ message: FeatureGradients, from sender: NodeID, _ frames: [Frame], _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    guard let index = gate.view?.fcNodes.firstIndex(where: { $0.node == sender }) else {
      return gate.count(.unexpected)
    }
    guard message.turn >= turn else { return gate.count(.stale) }
    guard message.turn == turn else { return gate.count(.future) }
    guard gradients[index] == nil else { return gate.count(.duplicate) }
    guard clock.phase == .waitingForFC else { return gate.count(.future) }
    let columns = plan.featureSlices[index].count
    guard message.block.firstRow == share.lowerBound, message.block.rows == share.count,
      message.block.columns == columns,
      frames.reduce(0, { $0 + $1.byteCount }) == share.count * columns * 4
    else { return gate.count(.wrongSize) }
    gradients[index] = frames
    clock.progressed(now: now)
    let complete = gradients.compactMap { $0 }
    guard complete.count == gradients.count else { return }
    clock.enter(.convolutionBackward, now: now)
    compute(.absorb(gradients: complete, columns: plan.featureSlices.ranges), &out)
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
    switch (operation, outcome) {
    case (.configure, _): begin(now, &out)
    case (.load, _): proceed(now, &out)
    case (.install(let stage, _), _):
      installedVersion[stage] = installing[stage]
      installing[stage] = nil
      if clock.phase == .waitingForParameters, nextStage == stage { proceed(now, &out) }
    case (.forward(let stage), _):
      nextStage = stage + 1
      proceed(now, &out)
    case (.features, .features(let frames)): passFeatures(frames, now, &out)
    case (.absorb, _): backward(fromStage: plan.chunks.ofStage.count - 1, now, &out)
    case (.backward(let stage), .gradients(let frames)):
      for (index, frame) in zip(plan.chunks.ofStage[stage], frames) {
        out.append(.send(message(.push(Push(turn: turn, chunk: index)), [frame]), to: .serverBulk))
      }
      backward(fromStage: stage - 1, now, &out)
    default: preconditionFailure("operation \(operation) ended with \(outcome)")
    }
  }
}
