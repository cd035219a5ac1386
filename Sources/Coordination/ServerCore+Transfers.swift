import Messages
import Tensors

/// Slices of the FC parameters on their way to the server.
struct Transfer: Sendable {
  enum Purpose: Sendable {
    case checkpoint(steps: UInt64)
    /// The model at the end of the run.
    case model
  }
  let number: UInt32
  let purpose: Purpose
  let started: Microseconds
  /// FC nodes that have not sent their last piece.
  var missing: Set<NodeID>
}

extension ServerCore {
  // MARK: From the FC nodes

  /// Asks for the slices as they are at the present turn.
  mutating func collect(
    for purpose: Transfer.Purpose, _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard let view else { return }
    lastTransfer += 1
    collecting = Transfer(
      number: lastTransfer, purpose: purpose, started: now,
      missing: Set(view.fcNodes.map(\.node)))
    let request = Collect(transfer: lastTransfer, turn: turn)
    for member in view.fcNodes {
      out.append(.send(message(.collect(request)), to: member.node))
    }
  }

  /// Begins a checkpoint after a committed training step, if one is due and none is under way.
  mutating func beginCheckpointIfDue(_ now: Microseconds, _ out: inout [Directive]) {
    let steps = committedSteps
    guard plan.checkpointEvery > 0, steps % plan.checkpointEvery == 0, collecting == nil,
      state == .running
    else { return }
    compute(.beginCheckpoint(steps: steps), &out)
    collect(for: .checkpoint(steps: steps), now, &out)
  }

  mutating func take(
    _ slice: Slice, _ frames: [Frame], from record: MemberRecord, _ now: Microseconds,
    _ out: inout [Directive]
  ) {
    guard var transfer = collecting, transfer.number == slice.transfer,
      transfer.missing.contains(record.node)
    else { return drop(.stale) }
    if case .ending = state { lastProgress = now }
    compute(.store(slice, frames, from: record.name), &out)
    guard slice.isLast else { return }
    transfer.missing.remove(record.node)
    collecting = transfer
    guard transfer.missing.isEmpty else { return }
    switch transfer.purpose {
    case .model: compute(.save(steps: committedSteps), &out)
    case .checkpoint(let steps): compute(.finishCheckpoint(steps: steps), &out)
    }
  }

  mutating func checkpointed(
    _ steps: UInt64, _ failure: String?, _ out: inout [Directive]
  ) {
    if case .checkpoint = collecting?.purpose { collecting = nil }
    if let failure {
      out.append(.note("checkpoint after \(steps) steps failed, training goes on: \(failure)"))
    } else {
      checkpointSteps = steps
      out.append(.note("checkpoint after \(steps) steps"))
    }
  }

  /// Gives up a checkpoint whose slices do not come: the next one is a new chance.
  mutating func watchTransfer(_ now: Microseconds, _ out: inout [Directive]) {
    let patience: Microseconds = 60_000_000
    guard let transfer = collecting, case .checkpoint(let steps) = transfer.purpose,
      !transfer.missing.isEmpty, now > transfer.started + patience
    else { return }
    let late = transfer.missing.compactMap { membership[$0]?.name }.map { "\($0)" }.sorted()
    collecting = nil
    out.append(
      .note("no checkpoint after \(steps) steps: no slices from \(late.joined(separator: ", "))"))
  }

  // MARK: To the FC nodes

  /// An FC node is gone, and its slice with it: everybody goes back to the last checkpoint once
  /// somebody has taken the free place.
  mutating func rollBack(
    _ lost: MemberRecord, _ reason: String, _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard let program else { return }
    state = .paused
    collecting = nil
    outstanding = [:]
    lastProgress = now
    let repeated = committedSteps - min(committedSteps, checkpointSteps)
    turn = program.turn(afterSteps: checkpointSteps)
    evaluationTally = nil
    reports = [:]
    measured = []
    lastTransfer += 1
    requiredRestore = lastTransfer
    restoreSent = []
    out.append(
      .note(
        "\(lost.name)'s slice of the fc layers is lost: back to "
          + (checkpointSteps > 0
            ? "the checkpoint after \(checkpointSteps) steps" : "the initial values")
          + ", \(repeated) steps to repeat; waiting for another fc node"))
    compute(.rollBack(steps: checkpointSteps), &out)
    for record in membership.ranked(.fc) {
      membership.update(record.node) { $0.state = .preparing }
      restore(record, &out)
    }
  }

  /// Has an FC node take the parameters that the run goes on with.
  mutating func restore(_ record: MemberRecord, _ out: inout [Directive]) {
    guard restoreSent.insert(record.node).inserted else { return }
    let isInitial = checkpointSteps == 0
    let body = Restore(transfer: requiredRestore, steps: checkpointSteps, isInitial: isInitial)
    out.append(.send(message(.restore(body)), to: record.node))
    if !isInitial {
      compute(.cut(rank: record.name.rank, transfer: requiredRestore), &out)
    }
  }

  mutating func give(
    _ slices: [(Slice, [Frame])], toRank rank: Int, _ out: inout [Directive]
  ) {
    guard let record = membership.ranked(.fc).first(where: { $0.name.rank == rank }) else { return }
    for (slice, frames) in slices where slice.transfer == requiredRestore {
      out.append(.send(message(.slice(slice), frames), to: record.node))
    }
  }
}
