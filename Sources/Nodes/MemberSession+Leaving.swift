import Coordination
import Messages

/// How a node goes.
extension MemberSession {
  /// Leaves in order; told again, at once.
  func leave(_ reason: String, _ now: Microseconds) {
    if let first = leavingSince, now - first <= Signals.echo { return }
    recorder?.note(.leave, text: reason)
    if let role, role.isPrepared, role.viewNumber > 0, leavingSince == nil {
      leavingSince = now
      carryOut(role.leave(reason: reason, now: now))
    } else {
      send(Message(identity, .leave(Leave(reason: reason))), over: control)
      result = .stop(Stop(outcome: .interrupted, reason: reason))
    }
  }

  /// Ends the role's threads, however long what they are at may take.
  func endRole() {
    guard let role else { return }
    // A process that does not end stands where another could take its place. Any step is done by then.
    var patience: Microseconds? = 60_000_000
    if case .joinAgain = result, leavingSince == nil { patience = nil }
    let signal = EndWatch.run(signals, after: endSignals, patience: patience, log) { role.stop() }
    if signal != nil { leavingSince = leavingSince ?? MonotonicClock.now() }
  }
}
