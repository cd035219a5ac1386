import Messages
import Network
import Tensors

extension WorkerCore {
  // MARK: A turn

  /// The examples of one of this worker's blocks in turn `index`.
  func span(of index: UInt64, block: Int) -> BatchSpan? {
    guard let program, index < program.count else { return nil }
    let turn = program[index]
    let rows = blocks[block].rows
    return BatchSpan(
      isTraining: turn.isTraining,
      firstPosition: plan.firstPosition(of: turn) + UInt64(rows.lowerBound), rows: rows.count)
  }

  /// Starts on `turn`, or waits for the end if there is none.
  mutating func begin(_ now: Microseconds, _ out: inout [Directive]) {
    guard let program, turn < program.count else {
      clock.enter(.waitingForTurn, now: now)
      return
    }
    forwardBlock = 0
    backwardBlock = 0
    isGoingBackward = false
    let nodes = gate.view?.fcNodes.count ?? 0
    gradients = Array(repeating: Array(repeating: nil, count: nodes), count: blocks.count)
    load(now, &out)
    for ahead in 1...2 {
      for block in blocks.indices {
        if let next = span(of: turn + UInt64(ahead), block: block) {
          out.append(.own(.prefetch(next)))
        }
      }
    }
  }

  private mutating func load(_ now: Microseconds, _ out: inout [Directive]) {
    guard let span = span(of: turn, block: forwardBlock) else { return }
    nextStage = 0
    clock.enter(.data, now: now)
    compute(.load(span, block: forwardBlock), &out)
  }

  /// Moves the forward pass on, as far as parameters and permission allow.
  mutating func proceed(_ now: Microseconds, _ out: inout [Directive]) {
    guard let program, turn < program.count, forwardBlock < blocks.count else { return }
    let version = program.version(at: turn)
    if nextStage < plan.chunks.ofStage.count {
      if plan.chunks.ofStage[nextStage].isEmpty || installedVersion[nextStage] == version {
        clock.enter(.convolutionForward, now: now)
        compute(.forward(stage: nextStage, block: forwardBlock), &out)
      } else {
        clock.enter(.waitingForParameters, now: now)
      }
      return
    }
    // New parameters for every stage may mean that the turn before is committed; where they do not,
    // and after an evaluation turn, which changes none, the coordinator's word is needed.
    let impliedByParameters =
      turn > 0 && program[turn - 1].isTraining && !plan.chunks.chunks.isEmpty
      && plan.parametersMeanCommit
    guard turn <= allowedTurn || impliedByParameters else {
      clock.enter(.waitingForTurn, now: now)
      return
    }
    guard blocks[forwardBlock].rows.count > 0 else { return passFeatures([], now, &out) }
    clock.enter(.convolutionForward, now: now)
    compute(.features(block: forwardBlock, columns: plan.featureSlices.ranges), &out)
  }

  /// Sends a block's features and goes on with the next block, while the FC nodes work on this one.
  mutating func passFeatures(
    _ frames: [[Frame]], _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard let view = gate.view, let program else { return }
    let block = blocks[forwardBlock]
    for (index, frames) in frames.enumerated() {
      let rows = RowBlock(
        firstRow: block.rows.lowerBound, rows: block.rows.count,
        columns: plan.featureSlices[index].count)
      let body = Activations(turn: turn, subBatch: block.subBatch, block: rows)
      out.append(
        .send(message(.activations(body), frames), to: .member(view.fcNodes[index].node)))
    }
    forwardBlock += 1
    guard forwardBlock == blocks.count else { return load(now, &out) }
    if program[turn].isTraining {
      clock.enter(.waitingForFC, now: now)
      absorbIfComplete(now, &out)
    } else {
      out.append(.send(message(.push(Push(turn: turn, chunk: nil))), to: .serverBulk))
      finishTurn(now, &out)
    }
  }

  /// Starts the backward pass of the next block once every FC node's gradient of it is there.
  private mutating func absorbIfComplete(_ now: Microseconds, _ out: inout [Directive]) {
    guard forwardBlock == blocks.count, backwardBlock < blocks.count, !isGoingBackward else {
      return
    }
    if blocks[backwardBlock].rows.isEmpty {
      isGoingBackward = true
      return backward(fromStage: plan.chunks.ofStage.count - 1, now, &out)
    }
    let complete = gradients[backwardBlock].compactMap { $0 }
    guard complete.count == gradients[backwardBlock].count else { return }
    isGoingBackward = true
    clock.enter(.convolutionBackward, now: now)
    compute(
      .absorb(block: backwardBlock, gradients: complete, columns: plan.featureSlices.ranges), &out)
  }

  mutating func backward(
    fromStage stage: Int, _ now: Microseconds, _ out: inout [Directive]
  ) {
    let isLast = backwardBlock == blocks.count - 1
    guard stage >= 0 else {
      isGoingBackward = false
      backwardBlock += 1
      guard isLast else {
        clock.enter(.waitingForFC, now: now)
        return absorbIfComplete(now, &out)
      }
      if plan.chunks.chunks.isEmpty {
        out.append(.send(message(.push(Push(turn: turn, chunk: nil))), to: .serverBulk))
      }
      return finishTurn(now, &out)
    }
    clock.enter(.convolutionBackward, now: now)
    compute(.backward(stage: stage, block: backwardBlock, isLast: isLast), &out)
  }

  mutating func finishTurn(_ now: Microseconds, _ out: inout [Directive]) {
    clock.finishTurn()
    turn += 1
    begin(now, &out)
  }

  // MARK: Parameters and gradients that arrive

  mutating func take(
    _ parameters: Parameters, from sender: NodeID, _ frames: [Frame], _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    guard let view = gate.view, let program, arrived.indices.contains(parameters.chunk) else {
      return gate.count(.wrongSize)
    }
    guard sender == view.owner(of: parameters.chunk, plan.shards)?.node ?? .server else {
      return gate.count(.unexpected)
    }
    guard frames.count == 1,
      frames[0].byteCount == plan.chunks.chunks[parameters.chunk].range.count
        * plan.wire.parameters.bytes
    else {
      // Of the coordinator nobody can complain.
      return sender == .server
        ? gate.count(.wrongSize) : complain(of: sender, "a parameter of another size", &out)
    }
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
    guard let index = gate.view?.fcNodes.firstIndex(where: { $0.node == sender }),
      let block = blocks.firstIndex(where: { $0.subBatch == message.subBatch })
    else { return gate.count(.unexpected) }
    guard message.turn >= turn else { return gate.count(.stale) }
    // Of what this worker has not even sent there cannot be a gradient.
    guard message.turn == turn, block < forwardBlock, gradients.indices.contains(block) else {
      return gate.count(.future)
    }
    guard block >= backwardBlock, gradients[block][index] == nil else {
      return gate.count(.duplicate)
    }
    let rows = blocks[block].rows
    let columns = plan.featureSlices[index].count
    guard message.block.firstRow == rows.lowerBound, message.block.rows == rows.count,
      message.block.columns == columns,
      frames.reduce(0, { $0 + $1.byteCount }) == rows.count * columns * plan.wire.activations.bytes,
      frames.allSatisfy({ $0.byteCount % max(columns * plan.wire.activations.bytes, 1) == 0 })
    else { return complain(of: sender, "gradients of another size", &out) }
    gradients[block][index] = frames
    clock.progressed(now: now)
    absorbIfComplete(now, &out)
  }
}

extension View {
  /// The shard that owns a chunk; `nil` if it is the coordinator's.
  func owner(of chunk: Int, _ map: ShardMap) -> Member? {
    let rank = map.owner[chunk]
    return rank == 0 ? nil : shards.first { $0.name.rank == rank }
  }
}
