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

  /// How long a member of a view waits for the last word of a server of its process that is gone.
  private static let lastWord: Microseconds = 5_000_000

  /// Notes that the server of this process is gone.
  ///
  /// A member of a view hears its last word, if it has said one; who never joined would look for it
  /// on.
  func abandon(_ reason: String, _ now: Microseconds) {
    if role?.viewNumber ?? 0 == 0 { leave(reason, now) } else { abandonment = (reason, now) }
  }

  func endIfAbandoned(_ now: Microseconds) {
    guard let (reason, since) = abandonment, now - since > Self.lastWord else { return }
    result = .stop(Stop(outcome: .failed, reason: reason))
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
