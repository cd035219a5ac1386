import Messages
import Network
import Tensors

extension FCCore {
  /// One sub-batch's way through a turn. Several are under way at a time: while one's exchange
  /// travels, another is computed.
  struct Lane: Sendable {
    var stage = LaneStage.collecting
  }

  enum LaneStage: Hashable, Sendable {
    /// Waits for the workers' features.
    case collecting
    /// Computes a segment.
    case computing(Int)
    /// Waits for the other FC nodes' parts of the exchange before segment `Int`.
    case exchanging(Int)
    case done
  }

  // MARK: A turn

  mutating func collect(_ now: Microseconds, _ out: inout [Directive]) {
    isIdle = false
    lanes = Array(repeating: Lane(), count: plan.subBatches.parts)
    inbox = inbox.filter { $0.key.turn >= mirroring ?? turn }
    enterPhase(now)
    for lane in lanes.indices { startIfComplete(lane, now, &out) }
  }

  /// Rows that each worker sends of a sub-batch, by position; `nil` from whom nothing comes.
  func senders(_ lane: Int) -> [Range<Int>?] {
    let view = gate.view
    return plan.senders(
      of: lane, workers: view?.workers.count ?? 0, holders: view?.holders ?? [])
  }

  /// What this node is doing, by the lanes together: computing before waiting for its peers before
  /// waiting for workers.
  private mutating func enterPhase(_ now: Microseconds) {
    var phase = PhaseClock.Phase.waitingForWorkers
    for lane in lanes {
      switch lane.stage {
      case .computing:
        phase = .compute
      case .exchanging:
        if phase != .compute { phase = .waitingForPeers }
      case .collecting, .done: break
      }
    }
    clock.enter(phase, now: now)
  }

  mutating func startIfComplete(_ lane: Int, _ now: Microseconds, _ out: inout [Directive]) {
    guard lanes[lane].stage == .collecting, let program, let view = gate.view,
      turn < program.count, let features = inbox[Key(turn: turn, subBatch: lane)]?.features
    else { return }
    let senders = senders(lane)
    guard senders.indices.allSatisfy({ senders[$0] == nil || features[$0] != nil }) else { return }
    guard !mustWait(lane) else { return }
    // Features of this turn mean that the turn before is committed.
    committed(below: turn, &out)
    let kind = program[turn]
    let (step, isShown): (UInt64, Bool) =
      switch kind {
      case .training(let step): (step, false)
      case .evaluation(_, let batch, let step): (step, batch == 0)
      }
    let pass = Pass(
      isTraining: kind.isTraining, step: step, examples: plan.examples(of: kind, view.dataset),
      isShown: isShown)
    lanes[lane].stage = .computing(0)
    enterPhase(now)
    compute(
      .start(pass, subBatch: lane, features.sorted { $0.key < $1.key }.map(\.value)), &out)
  }

  /// Whether this turn's sub-batches step one after another.
  private var stepsEachSubBatch: Bool {
    guard plan.schedule.updatesEachSubBatch, let program, turn < program.count else { return false }
    return program[turn].isTraining
  }

  /// Whether a sub-batch whose features are there may not start yet.
  ///
  /// Its start is the step of the turn before, if that is not made yet, and that is made with the
  /// learning rate that the server has given for its turn; features may overtake this on another
  /// connection. Where every sub-batch steps, it also reads the weights that the one before makes,
  /// with the rate of the turn itself.
  func mustWait(_ lane: Int) -> Bool {
    if let working, announced < working { return true }
    return stepsEachSubBatch
      && (announced < turn || lanes[..<lane].contains { $0.stage != .done })
  }

  var segmentCount: Int {
    guard let program, turn < program.count else { return 0 }
    return program[turn].isTraining ? plan.trainingSegments : plan.evaluationSegments
  }

  mutating func continueIfComplete(_ lane: Int, _ now: Microseconds, _ out: inout [Directive]) {
    guard case .exchanging(let index) = lanes[lane].stage, let view = gate.view, let program
    else { return }
    let received = inbox[Key(turn: turn, subBatch: lane)]?.exchanges[index - 1] ?? [:]
    guard received.count == view.fcNodes.count - 1 else { return }
    let ordered = view.fcNodes.indices.map { received[$0] ?? [] }
    lanes[lane].stage = .computing(index)
    enterPhase(now)
    let last = segmentCount - 1
    // The compute thread works in order: the turn is over with the last of the last segments.
    let closesTurn =
      index == last && lanes.allSatisfy { $0.stage == .done || $0.stage == .computing(last) }
    compute(
      .segment(
        index: index, subBatch: lane, received: ordered, isLast: index == last,
        deliver: index == last && program[turn].isTraining
          ? senders(lane).compactMap { $0 } : nil,
        closesTurn: closesTurn), &out)
  }

  mutating func finishedSegment(
    _ index: Int, _ lane: Int, _ result: SegmentResult, _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    guard let view = gate.view, let program else { return }
    if let notFinite = result.notFinite { return refuse(notFinite, lane, &out) }
    let isLast = index == segmentCount - 1
    for (peer, frames) in result.outgoing.enumerated()
    where isLast ? owesMirror && peer == plan.mirror(of: position) : peer != position {
      out.append(
        .send(
          message(.exchange(Exchange(turn: turn, subBatch: lane, index: index)), frames),
          to: .member(view.fcNodes[peer].node)))
    }
    let receivers = senders(lane).enumerated().compactMap { worker, rows in
      rows.map { (worker, $0) }
    }
    for ((worker, rows), frames) in zip(receivers, result.featureGradients) {
      let block = RowBlock(
        firstRow: rows.lowerBound, rows: rows.count, columns: plan.featureSlices[position].count)
      let body = FeatureGradients(turn: turn, subBatch: lane, block: block)
      out.append(
        .send(message(.featureGradients(body), frames), to: .member(view.workers[worker].node)))
    }
    guard isLast else {
      lanes[lane].stage = .exchanging(index + 1)
      enterPhase(now)
      continueIfComplete(lane, now, &out)
      return
    }
    lanes[lane].stage = .done
    enterPhase(now)
    if stepsEachSubBatch, case .training(let step) = program[turn] {
      // After the features' gradients, which are of the weights as the sub-batch has read them.
      compute(.stepSubBatch(step: step, subBatch: lane), &out)
      if lane + 1 < lanes.count { startIfComplete(lane + 1, now, &out) }
    }
    guard lanes.allSatisfy({ $0.stage == .done }) else { return }
    if let report = result.report {
      let body = Report(
        turn: turn, subBatch: 0, lossSum: report.lossSum,
        examples: plan.examples(of: program[turn], view.dataset))
      out.append(.send(message(.report(body), [report.counts]), to: .serverBulk))
    }
    if let (guesses, frames) = result.guesses {
      out.append(.send(message(.guesses(guesses), frames), to: .serverBulk))
    }
    if program[turn].isTraining {
      // The workers already have what they need; the parameters' gradients are computed while
      // they go backward.
      working = turn
      if plan.mirrorsFC { mirroring = turn }
      if !stepsEachSubBatch { compute(.gradients, &out) }
    }
    clock.finishTurn()
    turn += 1
    mirrorIfComplete(&out)
    committed(below: committedBelow, &out)
    collect(now, &out)
  }

  // MARK: What arrives

  mutating func take(
    _ message: Activations, from sender: NodeID, _ frames: [Frame], _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    guard let worker = gate.view?.workers.firstIndex(where: { $0.node == sender }),
      message.subBatch < plan.subBatches.parts, let rows = senders(message.subBatch)[worker]
    else { return gate.count(.unexpected) }
    guard message.turn >= turn else { return gate.count(.stale) }
    guard message.turn <= turn + 1 else { return gate.count(.future) }
    let columns = plan.featureSlices[position].count
    guard message.block.firstRow == rows.lowerBound, message.block.rows == rows.count,
      message.block.columns == columns, let labels = frames.first,
      labels.byteCount == rows.count * 4,
      frames.dropFirst().reduce(0, { $0 + $1.byteCount }) == rows.count * columns
        * plan.wire.activations.bytes,
      frames.dropFirst().allSatisfy({
        $0.byteCount % max(columns * plan.wire.activations.bytes, 1) == 0
      })
    else { return complain(of: sender, "features of another size", &out) }
    // Each FC node gets them: all slices would be lost at once.
    if let classes = plan.classes,
      let label = labels.int32s.first(where: { $0 < -1 || $0 >= classes })
    {
      return complain(of: sender, "the label \(label), which is no class", &out)
    }
    let key = Key(turn: message.turn, subBatch: message.subBatch)
    guard inbox[key]?.features[worker] == nil else { return gate.count(.duplicate) }
    inbox[key, default: Inbox()].features[worker] = FeatureBlock(rows: rows, frames: frames)
    clock.progressed(now: now)
    guard message.turn == turn, !isIdle else { return }
    startIfComplete(message.subBatch, now, &out)
  }

  /// Bytes of a value in an exchange of a training turn: the loss and what a mirror needs are never
  /// rounded.
  private func valueBytes(ofExchange index: Int) -> Int {
    let layers = (plan.trainingSegments - 2) / 2
    return index == layers || index == mirrorExchange ? 4 : plan.wire.activations.bytes
  }

  mutating func take(
    _ message: Exchange, from sender: NodeID, _ frames: [Frame], _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    guard let peer = gate.view?.fcNodes.firstIndex(where: { $0.node == sender }), peer != position,
      message.subBatch < plan.subBatches.parts
    else { return gate.count(.unexpected) }
    guard message.turn >= mirroring ?? turn else { return gate.count(.stale) }
    guard message.turn <= turn + 1 else { return gate.count(.future) }
    let rows = plan.subBatches[message.subBatch].count
    guard exchangeRowBytes.indices.contains(message.index),
      exchangeRowBytes[message.index].indices.contains(peer),
      frames.reduce(0, { $0 + $1.byteCount }) == exchangeRowBytes[message.index][peer] * rows,
      frames.allSatisfy({ $0.byteCount % valueBytes(ofExchange: message.index) == 0 })
    else { return complain(of: sender, "an exchange of another size", &out) }
    let key = Key(turn: message.turn, subBatch: message.subBatch)
    guard inbox[key]?.exchanges[message.index]?[peer] == nil else {
      return gate.count(.duplicate)
    }
    inbox[key, default: Inbox()].exchanges[message.index, default: [:]][peer] = frames
    clock.progressed(now: now)
    mirrorIfComplete(&out)
    guard message.turn == turn, !isIdle else { return }
    continueIfComplete(message.subBatch, now, &out)
  }
}
