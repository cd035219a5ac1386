import Messages

extension ServerCore {
  /// Steps that are passed over in a row before the run ends: then it is not the examples.
  package static let mostSkipped: UInt64 = 10

  /// An FC node has found the turn's numbers wanting.
  mutating func take(
    _ fault: Fault, from record: MemberRecord, _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard state == .running, let program, turn < program.count,
      record.name.role.holdsParameters
    else {
      return drop(.unexpected)
    }
    guard fault.turn >= turn else { return drop(.stale) }
    guard fault.turn == turn, program[turn].isTraining else { return drop(.unexpected) }
    // A shard has the gradients themselves: there is nothing to wait for.
    guard record.name.role == .fc else {
      return refuseStep(fault.what, by: view?.member(fault.culprit)?.name, now, &out)
    }
    guard faults[record.node] == nil else { return drop(.duplicate) }
    if faults.isEmpty { faultySince = now }
    faults[record.node] = fault
    lastProgress = now
    if faults.count == view?.fcNodes.count { decideOnFaults(now, &out) }
  }

  /// Acts on the fault that came first in the computation. What one node makes the others get with
  /// an exchange: a moment is given to the one that has it at first hand.
  mutating func decideOnFaults(_ now: Microseconds, _ out: inout [Directive]) {
    guard let view, state == .running, !faults.isEmpty,
      faults.count == view.fcNodes.count || now >= faultySince + plan.timing.heartbeat * 1000
    else { return }
    let first = faults.min { ($0.value.depth, $0.key) < ($1.value.depth, $1.key) }
    guard let fault = first?.value else { return }
    refuseStep(fault.what, by: view.member(fault.culprit)?.name, now, &out)
  }

  /// A step has a number that is infinite or not a number: it is not applied, anywhere.
  ///
  /// The server's working version is thrown away with the view. No FC node's is committed: the turn
  /// is not, and what becomes of it they learn from the view.
  mutating func refuseStep(
    _ what: String, by culprit: NodeName?, _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard let view, let program, turn < program.count, case .training(let step) = program[turn]
    else { return }
    faults = [:]
    let reason = "step \(step) is not applied: \(culprit.map { "\($0): " } ?? "")\(what)"
    let stop = Stop(outcome: .failed, reason: reason)
    switch plan.onFault {
    case .stop: end(stop, isWhole: true, now, &out)
    case .skip:
      guard skippedTurns < Self.mostSkipped else {
        let again = "\(reason); so were the \(Self.mostSkipped) steps before it"
        return end(Stop(outcome: .failed, reason: again), isWhole: true, now, &out)
      }
      out.append(.note("\(reason); it is skipped"))
      out.append(.skipped(turn: turn, step: step, view: view.number))
      turn += 1
      skippedTurns += 1
      reports = reports.filter { $0.key == lastCommit?.turn }
      measured = measured.filter { $0 == lastCommit?.turn }
      stalls = 0
      openView(now, &out)
    case .rollBack:
      // Where the run has not come further than before, repeating does not help.
      if let repeatedStep, step <= repeatedStep {
        let again = "\(reason), not even the second time"
        return end(Stop(outcome: .failed, reason: again), isWhole: true, now, &out)
      }
      repeatedStep = step
      rollBack(reason, now, &out)
    }
  }
}
