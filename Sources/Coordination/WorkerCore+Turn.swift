import Messages
import Network
import Tensors

extension WorkerCore {
  // MARK: A turn

  func span(of index: UInt64) -> BatchSpan? {
    guard let program, index < program.count else { return nil }
    let turn = program[index]
    return BatchSpan(
      isTraining: turn.isTraining,
      firstPosition: plan.firstPosition(of: turn) + UInt64(share.lowerBound), rows: share.count)
  }

  /// Starts on `turn`, or waits for the end if there is none.
  mutating func begin(_ now: Microseconds, _ out: inout [Directive]) {
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
  mutating func proceed(_ now: Microseconds, _ out: inout [Directive]) {
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

  mutating func passFeatures(
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

  mutating func backward(
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

  mutating func finishTurn(_ now: Microseconds, _ out: inout [Directive]) {
    clock.finishTurn()
    turn += 1
    begin(now, &out)
  }

  // MARK: Parameters and gradients that arrive

  mutating func take(
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
  mutating func installIfComplete(_ stage: Int, _ out: inout [Directive]) {
    let indices = plan.chunks.ofStage[stage]
    guard installing[stage] == nil, let version = arrived[indices.lowerBound]?.version,
      installedVersion[stage].map({ $0 < version }) ?? true,
      indices.allSatisfy({ arrived[$0]?.version == version })
    else { return }
    installing[stage] = version
    compute(.install(stage: stage, chunks: indices.compactMap { arrived[$0]?.frame }), &out)
  }

  mutating func take(
    _ message: FeatureGradients, from sender: NodeID, _ frames: [Frame], _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    guard let index = gate.view?.fcNodes.firstIndex(where: { $0.node == sender }) else {
      return gate.count(.unexpected)
    }
    // One sub-batch a turn is all there is so far.
    guard message.subBatch == 0 else { return gate.count(.unexpected) }
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
}
