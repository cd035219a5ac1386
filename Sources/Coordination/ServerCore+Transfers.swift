import Messages
import Tensors

extension ServerCore {
  // MARK: Making a checkpoint

  /// Begins a checkpoint after a committed training step, if one is due and none is under way.
  mutating func beginCheckpointIfDue(_ now: Microseconds, _ out: inout [Directive]) {
    // Not only at the multiple itself: that step may have been skipped.
    let every = plan.checkpointEvery
    let isRegular = every > 0 && committedSteps / every > lastBegunSteps / every
    let isLate =
      plan.checkpointInterval > 0 && now - lastCheckpoint >= plan.checkpointInterval * 1000
    guard isRegular || isLate || checkpointAsked, collecting == nil else { return }
    checkpointAsked = false
    beginCheckpoint(now, &out)
    collecting?.isDue = true
  }

  mutating func beginCheckpoint(_ now: Microseconds, _ out: inout [Directive]) {
    guard collecting == nil, state == .running || state == .paused, let view else { return }
    let steps = committedSteps
    let holders = view.parameterHolders.filter { $0.node != rescue?.lost.node }
    // After a loss there is nothing whole to take.
    guard holders.allSatisfy({ membership[$0.node]?.state == .active }) else { return }
    lastCheckpoint = now
    lastBegunSteps = steps
    lastTransfer += 1
    var missing = Set(
      holders.map { CheckpointTransfer.Source(node: $0.node, transfer: lastTransfer) })
    compute(.beginCheckpoint(steps: steps), &out)
    let request = Collect(transfer: lastTransfer, turn: turn)
    for member in holders { out.append(.send(message(.collect(request)), to: member.node)) }
    if let mirror = rescue?.mirror {
      // Asked for once its own have come: a node hands out one thing at a time.
      lastTransfer += 1
      rescue?.transfer = lastTransfer
      missing.insert(.init(node: mirror, transfer: lastTransfer))
    }
    collecting = CheckpointTransfer(steps: steps, lastPiece: now, missing: missing)
  }

  mutating func takeForCheckpoint(
    _ slice: Slice, _ frames: [Frame], _ record: MemberRecord, _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    guard state == .running || state == .paused, var transfer = collecting,
      case let source = CheckpointTransfer.Source(node: record.node, transfer: slice.transfer),
      transfer.missing.contains(source)
    else { return drop(.stale) }
    switch transfer.pieces[source, default: PieceSequence()].take(slice) {
    case .next: break
    case .useless: return drop(.duplicate)
    case .gap:
      return giveUpCheckpoint("a piece of \(record.name)'s slices was lost", now, &out)
    }
    let isMirrored = slice.transfer == rescue?.transfer
    let owner = isMirrored ? rescue?.lost.name : nil
    compute(.store(slice, frames, from: owner ?? record.name), &out)
    transfer.lastPiece = now
    if slice.isLast { transfer.missing.remove(source) }
    collecting = transfer
    if slice.isLast, !isMirrored, let rescue, record.node == rescue.mirror {
      let request = Collect(transfer: rescue.transfer, turn: turn, mirrored: true)
      out.append(.send(message(.collect(request)), to: record.node))
    }
    guard transfer.missing.isEmpty else { return }
    compute(.finishCheckpoint(steps: transfer.steps), &out)
  }

  mutating func checkpointed(
    _ steps: UInt64, _ failure: String?, _ now: Microseconds, _ out: inout [Directive]
  ) {
    if collecting?.steps == steps { collecting = nil }
    let present = rescue
    if let failure {
      out.append(.note("checkpoint after \(steps) steps failed, training goes on: \(failure)"))
      departuresFailed(steps, failure, now, &out)
    } else {
      // The run may have gone back behind it meanwhile: then it will come by again.
      if steps <= committedSteps { checkpointSteps = steps }
      out.append(.note("checkpoint after \(steps) steps"))
      settleDepartures(now, &out)
    }
    // A full disk is no worse than no mirror. One that began just now, of a node that was let go, has
    // its own checkpoint to wait for.
    if let present, present.steps == steps, rescue?.lost.node == present.lost.node {
      endRescue(now, &out)
    }
  }

  /// Gives up the checkpoint whose slices were to come: the next one is a new chance.
  mutating func giveUpCheckpoint(
    _ why: String, _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard let transfer = collecting else { return }
    collecting = nil
    out.append(.note("no checkpoint after \(transfer.steps) steps: \(why)"))
    let present = rescue?.lost.node
    departuresFailed(transfer.steps, why, now, &out)
    if rescue?.lost.node == present { endRescue(now, &out) }
  }

  /// Gives up a checkpoint whose slices do not come.
  mutating func watchCheckpoint(_ now: Microseconds, _ out: inout [Directive]) {
    let patience: Microseconds = 60_000_000
    guard let transfer = collecting, !transfer.missing.isEmpty, now > transfer.lastPiece + patience
    else { return }
    let late = Set(transfer.missing.compactMap { membership[$0.node]?.name }.map { "\($0)" })
    giveUpCheckpoint("no slices from " + late.sorted().joined(separator: ", "), now, &out)
  }

  // MARK: Going back to one

  /// An FC node or a shard is gone, and its slice with it, unless another has it.
  mutating func loseSlice(
    _ lost: MemberRecord, _ now: Microseconds, _ out: inout [Directive]
  ) {
    if beginRescue(of: lost, now, &out) { return }
    // A second one is gone: what was left of the first cannot be had. Where the layers are cut anew
    // nobody comes in the first one's place, whoever the second is.
    let first = rescue?.lost
    if rescue != nil { collecting = nil }
    rescue = nil
    goBack(without: plan.recutsOnLoss ? first ?? lost : lost, now, &out)
  }

  /// Goes on from the last checkpoint: with the lost node's slice as it was, or without the steps
  /// since.
  mutating func goBack(
    without lost: MemberRecord, isRescued: Bool = false, _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    guard plan.recutsOnLoss, lost.name.role == .fc, plan.fcNodesWanted > 1 else {
      let isSlice = lost.name.role == .fc
      let what = isSlice ? "slice of the fc layers" : "share of the conv parameters"
      return rollBack(
        isRescued
          ? "\(lost.name) is lost, not its \(what)" : "\(lost.name)'s \(what) is lost with it",
        waiting: ", once another \(isSlice ? "fc node" : "server shard") has come", now, &out)
    }
    // Those that are there, not those that are ready: after another loss all are being given their
    // slices anew.
    let left = membership.ranked(.fc).filter { departing[$0.node] == nil }.count
    out.append(.recut(fcNodes: max(1, min(left, plan.fcNodesWanted - 1))))
    state = .over
  }

  /// Everybody goes back to the last checkpoint, and on from there once every FC node and shard has
  /// its part of it.
  ///
  /// - Parameters:
  ///   - why: what has happened.
  ///   - condition: what it waits for besides, with a comma in front.
  mutating func rollBack(
    _ why: String, waiting condition: String = "", _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard let program else { return }
    let repeated = committedSteps - min(committedSteps, checkpointSteps)
    state = .paused
    collecting = nil
    lastBegunSteps = checkpointSteps
    outstanding = [:]
    faults = [:]
    skippedTurns = 0
    lastProgress = now
    turn = program.turn(afterSteps: checkpointSteps)
    lastCommit = nil
    evaluationTally = nil
    reports = [:]
    measured = []
    lastTransfer += 1
    requiredRestore = lastTransfer
    restoreSteps = checkpointSteps
    restoreSent = []
    cuts = [:]
    let goal =
      checkpointSteps > 0 ? "the checkpoint after \(checkpointSteps) steps" : "the initial values"
    out.append(
      .note(
        "\(why): back to \(goal), \(repeated) steps to repeat\(condition)"))
    compute(.rollBack(steps: checkpointSteps), &out)
    for record in membership.ranked(.fc) + membership.ranked(.shard) {
      membership.update(record.node) { $0.state = .preparing }
      restore(record, &out)
    }
    releaseLeavingWorkers(now, &out)
    // What those have that want to go is in the checkpoint, as everything is.
    departing = departing.mapValues { Departure(steps: checkpointSteps, failures: $0.failures) }
    settleDepartures(now, &out)
  }

  /// Has an FC node or a shard take the parameters that the run goes on with.
  mutating func restore(_ record: MemberRecord, _ out: inout [Directive]) {
    // One that still plans its memory would not hear: it is given them once it says that it is ready.
    guard membership[record.node]?.hasBeenReady == true,
      restoreSent.insert(record.node).inserted
    else { return }
    let isInitial = restoreSteps == 0
    let body = Restore(transfer: requiredRestore, steps: restoreSteps, isInitial: isInitial)
    out.append(.send(message(.restore(body)), to: record.node))
    guard !isInitial else { return }
    compute(.cut(for: record.name, transfer: requiredRestore, from: 0), &out)
  }

  /// What was sent to `node` has gone out: the next of the slices that it is being given.
  mutating func giveNext(_ node: NodeID, _ out: inout [Directive]) {
    guard let next = cuts.removeValue(forKey: node), let record = membership[node] else { return }
    compute(.cut(for: record.name, transfer: requiredRestore, from: next), &out)
  }

  /// Parameters on their way to a node have been lost: all are given theirs anew, under a new
  /// number, since nobody can know which piece it was.
  mutating func restoreAgain(_ now: Microseconds, _ out: inout [Directive]) {
    let patience = plan.timing.progressTimeout
    let holders = membership.ranked(.fc) + membership.ranked(.shard)
    let waiting = holders.filter {
      $0.state == .preparing && restoreSent.contains($0.node)
        && $0.heartbeat?.millisecondsSinceProgress ?? 0 > patience
    }
    guard requiredRestore > 0, !waiting.isEmpty else { return }
    lastStall = now
    let names = waiting.map { "\($0.name)" }.joined(separator: ", ")
    out.append(
      .note("no progress: \(names) did not get the checkpoint's slices; giving them again"))
    lastTransfer += 1
    requiredRestore = lastTransfer
    restoreSent = []
    cuts = [:]
    for record in holders where record.state != .leaving {
      membership.update(record.node) { $0.state = .preparing }
      restore(record, &out)
    }
  }

  mutating func give(
    _ slices: [(Slice, [Frame])], of transfer: UInt32, from first: Int, to name: NodeName,
    _ out: inout [Directive]
  ) {
    guard transfer == requiredRestore,
      let record = membership.ranked(name.role).first(where: { $0.name == name }),
      // Cut for one that is gone since: who has its rank now is given all of them from the first.
      restoreSent.contains(record.node)
    else { return }
    for (slice, frames) in slices {
      out.append(.send(message(.slice(slice), frames), to: record.node))
    }
    if let last = slices.last?.0, !last.isLast { cuts[record.node] = first + slices.count }
  }
}
