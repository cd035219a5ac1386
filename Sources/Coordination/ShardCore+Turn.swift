import Messages
import Network
import Tensors

extension ShardCore {
  // MARK: A turn

  mutating func begin(_ next: UInt64, _ now: Microseconds) {
    turn = next
    pushes = [:]
    applying = []
    applied = []
    clock.enter(.waitingForWorkers, now: now)
  }

  /// A worker of the view can be reached, and needs the parameters to begin with.
  mutating func pull(_ sender: NodeID, _ out: inout [Directive]) {
    guard !isIdle, gate.view?.workers.contains(where: { $0.node == sender }) == true else {
      return gate.count(.unexpected)
    }
    compute(.snapshot(to: sender, version: appliedSteps), &out)
  }

  mutating func take(
    _ push: Push, _ frames: [Frame], from sender: NodeID, _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    guard !isIdle, let view = gate.view, let program, let chunk = push.chunk,
      let worker = view.workers.firstIndex(where: { $0.node == sender }),
      plan.chunks.chunks.indices.contains(chunk), plan.shards.owner[chunk] == rank
    else { return gate.count(.unexpected) }
    guard push.turn >= turn else { return gate.count(.stale) }
    guard push.turn == turn, turn < program.count, case .training(let step) = program[turn] else {
      return gate.count(.future)
    }
    guard frames.count == 1,
      frames[0].byteCount == plan.chunks.chunks[chunk].range.count * plan.wire.gradients.bytes
    else { return complain(of: sender, "a gradient of another size", &out) }
    guard pushes[chunk]?[worker] == nil, !applying.contains(chunk) else {
      return gate.count(.duplicate)
    }
    // A gradient of this turn means that the turn before is committed: without the server's leave
    // the worker would not have sent the features that it comes from.
    committed(below: turn, &out)
    pushes[chunk, default: [:]][worker] = frames[0]
    clock.progressed(now: now)
    applyIfComplete(chunk, step: step, now, &out)
  }

  /// Steps a chunk once all gradients are there and the server has said that the turn begins: with
  /// that comes the turn's learning rate, and a push may overtake it on another connection.
  private mutating func applyIfComplete(
    _ chunk: Int, step: UInt64, _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard announced >= turn, let complete = pushes[chunk],
      complete.count == gate.view?.workers.count
    else { return }
    applying.insert(chunk)
    pushes[chunk] = nil
    clock.enter(.compute, now: now)
    compute(
      .apply(
        chunk: chunk, gradients: complete.sorted { $0.key < $1.key }.map(\.value), step: step),
      &out)
  }

  /// The server's word that turn `next` begins.
  mutating func advance(to next: UInt64, _ now: Microseconds, _ out: inout [Directive]) {
    committed(below: next, &out)
    announced = max(announced, next)
    guard !isIdle, let program, turn < program.count, case .training(let step) = program[turn]
    else { return }
    for chunk in pushes.keys.sorted(by: >) { applyIfComplete(chunk, step: step, now, &out) }
  }

  /// A chunk has its new value: the workers get it unasked, while other chunks are still coming.
  mutating func finishedChunk(
    _ chunk: Int, _ step: UInt64, _ frame: Frame, _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard let view = gate.view, let program else { return }
    applied.insert(chunk)
    for member in view.workers {
      let body = Parameters(version: step + 1, chunk: chunk)
      out.append(.send(message(.parameters(body), [frame]), to: .member(member.node)))
    }
    guard applied.count == chunks.count else {
      if applied.count == applying.count { clock.enter(.waitingForWorkers, now: now) }
      return
    }
    out.append(.send(message(.applied(Applied(turn: turn))), to: .server))
    working = turn
    clock.finishTurn()
    begin(program.trainingTurn(from: turn + 1), now)
  }

  /// A step is not finite: its chunk stays here. The workers cannot go on without it, so the turn is
  /// not committed, whatever the server makes of it.
  mutating func refuse(_ worker: Int?, _ what: String, _ out: inout [Directive]) {
    let culprit = worker.flatMap { gate.view?.workers[$0].node } ?? identity.sender
    let fault = Fault(turn: turn, culprit: culprit, depth: 0, what: what)
    out.append(.send(message(.fault(fault)), to: .server))
    out.append(.note("turn \(turn) cannot be applied: \(what)"))
  }
}
