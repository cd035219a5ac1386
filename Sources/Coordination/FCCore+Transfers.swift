import Messages

extension FCCore {
  /// What the server asks for and gives back: in any view, since a view may wait for it.
  mutating func transfer(
    _ message: Message, _ now: Microseconds, _ out: inout [Directive]
  ) {
    switch message.body {
    case .collect(let collect):
      // The turns before are committed, or the server would not ask.
      committed(below: collect.turn, &out)
      guard let program, working == nil || working == collect.turn,
        appliedSteps == program.version(at: collect.turn)
      else { return gate.count(.stale) }
      compute(.collect(transfer: collect.transfer, mirrored: collect.mirrored), &out)
    case .restore(let restore):
      guard restore.transfer > max(restored, restoring?.transfer ?? 0) else {
        return gate.count(.duplicate)
      }
      // Whatever was under way was computed from parameters that are now void.
      restoring = restore
      pieces = PieceSequence()
      isIdle = true
      outstanding = [:]
      handsInMore = false
      inbox = [:]
      working = nil
      mirroring = nil
      refusedTurn = nil
      clock.enter(.waitingForView, now: now)
      out.append(.note("taking over the parameters after \(restore.steps) steps"))
      if restore.isInitial {
        compute(.redraw, &out)
        finish(restore)
      }
    case .slice(let slice):
      guard let restore = restoring, slice.transfer == restore.transfer else {
        return gate.count(.stale)
      }
      switch pieces.take(slice) {
      case .next: break
      case .useless: return gate.count(.duplicate)
      case .gap:
        // The server sees that this node waits, and gives everything again.
        return out.append(.note("a piece of the parameters was lost on the way here"))
      }
      clock.progressed(now: now)
      compute(.place(slice, message.frames), &out)
      if pieces.isComplete { finish(restore) }
    default: gate.count(.unexpected)
    }
  }

  /// The compute thread works in order: whatever it is given next finds the parameters in place.
  private mutating func finish(_ restore: Restore) {
    appliedSteps = restore.steps
    committedBelow = 0
    restored = restore.transfer
    restoring = nil
    lastBeat = nil
  }
}
