import Messages
import Network
import Tensors

extension FCCore {
  // MARK: A turn

  mutating func collect(_ now: Microseconds, _ out: inout [Directive]) {
    stage = .collecting
    inbox = inbox.filter { $0.key >= turn }
    clock.enter(.waitingForWorkers, now: now)
    startIfComplete(now, &out)
  }

  var shares: [Range<Int>] {
    let count = gate.view?.workers.count ?? 0
    return (0..<count).map { plan.share(position: $0, workers: count) }
  }

  mutating func startIfComplete(_ now: Microseconds, _ out: inout [Directive]) {
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

  var segmentCount: Int {
    guard let program, turn < program.count else { return 0 }
    return program[turn].isTraining ? plan.trainingSegments : plan.evaluationSegments
  }

  mutating func continueIfComplete(_ now: Microseconds, _ out: inout [Directive]) {
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

  mutating func finishedSegment(
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

  mutating func take(
    _ message: Activations, from sender: NodeID, _ frames: [Frame], _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    guard let worker = gate.view?.workers.firstIndex(where: { $0.node == sender }) else {
      return gate.count(.unexpected)
    }
    guard message.subBatch == 0 else { return gate.count(.unexpected) }
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

  mutating func take(
    _ message: Exchange, from sender: NodeID, _ frames: [Frame], _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    guard let peer = gate.view?.fcNodes.firstIndex(where: { $0.node == sender }), peer != position
    else { return gate.count(.unexpected) }
    guard message.subBatch == 0 else { return gate.count(.unexpected) }
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
}
