import Messages
import Network

/// With mirrors the loss of an FC node costs no step: what is committed is put together from those
/// who are left, as a checkpoint, and the run goes on from there as from any other.
extension ServerCore {
  /// - Returns: whether the slice can be had, and the last checkpoint is not as new.
  mutating func beginRescue(
    of lost: MemberRecord, _ now: Microseconds, _ out: inout [Directive]
  ) -> Bool {
    guard plan.mirrorsFC, plan.makesCheckpoints, rescue == nil, lost.name.role == .fc,
      lost.state == .active, checkpointSteps < committedSteps, let view,
      let mirror = view.fcNodes.first(where: { $0.name.rank == plan.mirror(of: lost.name.rank) }),
      // Of a node that is being given its parameters nobody has a copy.
      view.parameterHolders.allSatisfy({
        $0.node == lost.node || membership[$0.node]?.state == .active
      })
    else { return false }
    state = .paused
    collecting = nil
    outstanding = [:]
    faults = [:]
    lastProgress = now
    rescue = Rescue(lost: lost, mirror: mirror.node, steps: committedSteps)
    out.append(
      .note("\(lost.name)'s slice of the fc layers is taken from its mirror, \(mirror.name)"))
    beginCheckpoint(now, &out)
    releaseLeavingWorkers(now, &out)
    return true
  }

  /// On from the checkpoint that has been made, or from the one before if none could be.
  mutating func endRescue(_ now: Microseconds, _ out: inout [Directive]) {
    guard let ended = rescue else { return }
    rescue = nil
    goBack(without: ended.lost, isRescued: checkpointSteps == ended.steps, now, &out)
  }

  /// Whom a rescue waits for.
  var rescueNeeds: [Need] {
    guard let rescue else { return [] }
    let missing = collecting?.missing.sorted { ($0.transfer, $0.node) < ($1.transfer, $1.node) }
    let needs = (missing ?? []).compactMap { source in
      membership[source.node].map {
        Need(
          .member($0.name),
          source.transfer == rescue.transfer
            ? "the slices of \(rescue.lost.name) that it mirrors" : "its slices")
      }
    }
    guard needs.isEmpty else { return needs }
    return [Need(.own("compute thread"), "the checkpoint with \(rescue.lost.name)'s slices")]
  }
}
