package import Messages

/// A member between its welcome and the moment its compute thread is prepared (data open, memory
/// planned), which takes seconds: it says that it is alive, and hears nothing but the end of the run.
///
/// Its role's core begins after it. Whatever else is said to it meanwhile is lost.
package struct PreparingCore: Sendable {
  package enum Directive: Sendable {
    /// To the server.
    case send(Message)
    case exit(Stop)
  }

  private let plan: RunPlan
  private let identity: Header
  private var gate: ViewGate
  private var lastBeat: Microseconds

  /// - Parameter now: when it was welcomed, which was a sign of life.
  package init(plan: RunPlan, identity: Header, serverIncarnation: UInt64, now: Microseconds) {
    self.plan = plan
    self.identity = identity
    gate = ViewGate(run: identity.run, serverIncarnation: serverIncarnation)
    lastBeat = now
  }

  /// Takes a message and says what to do about it.
  package mutating func handle(_ message: Message) -> [Directive] {
    guard case .stop(let stop) = message.body, gate.admitsFromServer(message.header) else {
      return []
    }
    return [.send(Message(identity, .goodbye)), .exit(stop)]
  }

  /// A sign of life, if one is due at `now`.
  package mutating func tick(now: Microseconds) -> [Directive] {
    // The caller may have looked at its clock before the welcome came.
    guard now >= lastBeat + plan.timing.heartbeat * 1000 else { return [] }
    lastBeat = now
    let beat = Heartbeat(
      ready: false, dataset: nil, turn: 0, phase: "preparing", millisecondsSinceProgress: 0,
      telemetry: Telemetry(), waits: [])
    return [.send(Message(identity, .heartbeat(beat)))]
  }
}
