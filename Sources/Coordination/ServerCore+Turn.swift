import Messages
import Network
import Tensors

extension ServerCore {
  mutating func take(
    _ push: Push, _ frames: [Frame], from record: MemberRecord, _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    guard state == .running, let view, let program,
      let worker = view.workers.firstIndex(where: { $0.node == record.node })
    else { return drop(.unexpected) }
    guard push.turn >= turn else { return drop(.stale) }
    guard push.turn == turn, turn < program.count else { return drop(.future) }
    guard let chunk = push.chunk else {
      guard !program[turn].isTraining || plan.chunks.chunks.isEmpty else {
        return drop(.unexpected)
      }
      guard ledger.done.insert(worker).inserted else { return drop(.duplicate) }
      lastProgress = now
      return commitIfComplete(now, &out)
    }
    guard case .training(let step) = program[turn] else { return drop(.unexpected) }
    guard ledger.pushes.indices.contains(chunk), plan.shards.owner[chunk] == 0, frames.count == 1,
      frames[0].byteCount == plan.chunks.chunks[chunk].range.count * plan.wire.gradients.bytes
    else {
      drop(.wrongSize)
      return putOut(record, "it breaks the protocol: a gradient of another size", now, &out)
    }
    guard ledger.pushes[chunk][worker] == nil, !ledger.applying.contains(chunk) else {
      return drop(.duplicate)
    }
    ledger.pushes[chunk][worker] = frames[0]
    lastProgress = now
    let gradients = ledger.pushes[chunk].compactMap { $0 }
    guard gradients.count == view.workers.count else { return }
    ledger.applying.insert(chunk)
    // The frames go to the compute thread; the ledger keeps only the fact.
    for index in ledger.pushes[chunk].indices { ledger.pushes[chunk][index] = nil }
    compute(.apply(chunk: chunk, gradients: gradients, step: step), &out)
  }

  /// A chunk has its new value: the workers get it unasked, while other chunks are still coming.
  mutating func applied(
    _ chunk: Int, step: UInt64, _ frame: Frame, _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard let view, state == .running else { return }
    ledger.applied.insert(chunk)
    lastProgress = now
    for member in view.workers {
      let body = Parameters(version: step + 1, chunk: chunk)
      out.append(.send(message(.parameters(body), [frame]), to: member.node))
    }
    commitIfComplete(now, &out)
  }

  /// A shard has stepped all that it owns, or an FC node can make its neighbour's step.
  mutating func take(
    _ message: Applied, from record: MemberRecord, _ now: Microseconds, _ out: inout [Directive]
  ) {
    let members = record.name.role == .shard ? view?.shards : view?.fcNodes
    guard state == .running, let program,
      record.name.role == .shard || record.name.role == .fc && plan.mirrorsFC,
      let position = members?.firstIndex(where: { $0.node == record.node })
    else { return drop(.unexpected) }
    guard message.turn >= turn else { return drop(.stale) }
    guard message.turn == turn, turn < program.count, program[turn].isTraining else {
      return drop(.future)
    }
    let isNew =
      record.name.role == .shard
      ? ledger.shards.insert(position).inserted : ledger.mirrors.insert(position).inserted
    guard isNew else { return drop(.duplicate) }
    lastProgress = now
    commitIfComplete(now, &out)
  }

  private mutating func commitIfComplete(_ now: Microseconds, _ out: inout [Directive]) {
    guard state == .running, let view, let program, turn < program.count else { return }
    let kind = program[turn]
    switch kind {
    case .training(let step):
      let complete =
        plan.chunks.chunks.isEmpty
        ? ledger.done.count == view.workers.count
        : ledger.applied.count == plan.shards.chunks[0].count
          && ledger.shards.count == view.shards.count
      guard complete, !plan.mirrorsFC || ledger.mirrors.count == view.fcNodes.count else { return }
      compute(.commit(step: step), &out)
    case .evaluation(_, let batch, let step):
      // No parameters change, so nothing else would show that the FC nodes are done.
      guard ledger.done.count == view.workers.count, let tally = ledger.tally else { return }
      evaluationTally = batch == 0 ? tally : (evaluationTally.map { $0 + tally } ?? tally)
      if batch + 1 == program.evaluationBatches, let total = evaluationTally {
        out.append(.evaluated(step: step, total))
        evaluationTally = nil
      }
    }
    commit(kind, view, now, &out)
  }

  private mutating func commit(
    _ kind: Turn, _ view: View, _ now: Microseconds, _ out: inout [Directive]
  ) {
    var shares: [NodeID: [Range<Int>]] = [:]
    for (position, member) in view.workers.enumerated() {
      shares[member.node] = plan.blocks(
        position: position, workers: view.workers.count, holders: view.holders
      )
      .map(\.rows)
    }
    let record = CommitRecord(turn: turn, kind: kind, view: view.number, shares: shares)
    lastCommit = record
    skippedTurns = 0
    faults = [:]
    out.append(.committed(record))
    turn += 1
    lastProgress = now
    stalls = 0
    pace.note(now - min(now, ledger.started))
    ledger = TurnLedger(
      chunks: plan.chunks.chunks.count, workers: view.workers.count, now: now)
    reports = reports.filter { $0.key + 1 >= turn }
    measured = measured.filter { $0 + 1 >= turn }
    if let program, turn >= program.count { return endWhenMeasured(now, &out) }
    let changes = changeIsDue
    if changes { openView(now, &out) }
    if kind.isTraining { beginCheckpointIfDue(now, &out) }
    settleDepartures(isBetweenTurns: true, now, &out)
    guard !changes else { return }
    for member in view.members {
      out.append(.send(message(.advance(Advance(turn: turn))), to: member.node))
    }
  }

  /// The last turn's measure is worth a short wait: it is the run's last loss.
  mutating func endWhenMeasured(_ now: Microseconds, _ out: inout [Directive]) {
    guard let program, turn >= program.count, state == .running else { return }
    let patience: Microseconds = 1_000_000
    guard turn == 0 || measured.contains(turn - 1) || now > lastProgress + patience else { return }
    end(Stop(outcome: .finished, reason: "all steps done"), now, &out)
  }

  // MARK: Measures

  mutating func take(
    _ report: Report, _ message: Message, from record: MemberRecord, _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    guard let view, let position = view.fcNodes.firstIndex(where: { $0.node == record.node })
    else { return drop(.unexpected) }
    guard report.subBatch == 0 else { return drop(.unexpected) }
    guard report.turn <= turn else { return drop(.future) }
    // A training turn is committed without its reports: they count in the view of the commit, even
    // when the next one has begun. Those of a turn that is run again are another matter.
    let counts = report.turn == turn ? view.number : lastCommit?.view
    guard report.turn == turn || report.turn == lastCommit?.turn, message.header.view == counts
    else { return drop(.stale) }
    guard message.frames.count == 1, message.frames[0].byteCount == plan.globalBatch * 4 else {
      drop(.wrongSize)
      return putOut(record, "it breaks the protocol: a report of another size", now, &out)
    }
    guard reports[report.turn]?[position] == nil else { return drop(.duplicate) }
    if report.turn == turn, let program, turn < program.count, program[turn].isTraining,
      !report.lossSum.isFinite
    {
      let what = "the loss is \(report.lossSum)"
      let fault = Fault(turn: turn, culprit: record.node, depth: Int(Int32.max), what: what)
      return take(fault, from: record, now, &out)
    }
    reports[report.turn, default: [:]][position] = (report, message.frames[0])
    guard let complete = reports[report.turn], complete.count == view.fcNodes.count else { return }
    // The loss is the same on every node up to rounding: position 0 speaks for all.
    let ordered = complete.sorted { $0.key < $1.key }.map(\.value)
    compute(
      .tally(counts: ordered.map(\.counts), lossSum: ordered[0].report.lossSum), of: report.turn,
      &out)
  }

  mutating func tallied(
    turn tallied: UInt64, _ tally: Tally, _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard let program, tallied < program.count else { return }
    measured.insert(tallied)
    switch program[tallied] {
    case .training(let step):
      out.append(.measured(turn: tallied, step: step, tally))
      endWhenMeasured(now, &out)
    case .evaluation:
      guard tallied == turn else { return }
      ledger.tally = tally
      lastProgress = now
      commitIfComplete(now, &out)
    }
  }

  // MARK: Slices

  /// Whether all of a node's slices have come since the last view asked for them.
  func hasHandedIn(_ node: NodeID) -> Bool { slices[node]?.isComplete ?? false }

  mutating func take(
    _ slice: Slice, _ frames: [Frame], from record: MemberRecord, _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    guard slice.transfer == 0 else { return takeForCheckpoint(slice, frames, record, now, &out) }
    guard case .ending = state, let view, record.name.role.holdsParameters else {
      return drop(.unexpected)
    }
    switch slices[record.node, default: PieceSequence()].take(slice) {
    case .next: break
    case .useless: return drop(.duplicate)
    case .gap:
      // A model with a hole must not be written: a new last view asks for all of them again.
      return out.append(.note("a piece of \(record.name)'s slices was lost"))
    }
    lastProgress = now
    compute(.store(slice, frames, from: record.name), &out)
    guard slice.isLast else { return }
    guard view.parameterHolders.allSatisfy({ hasHandedIn($0.node) }) else { return }
    compute(.save(steps: committedSteps), &out)
  }
}
