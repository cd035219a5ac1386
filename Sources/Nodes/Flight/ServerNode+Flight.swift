import Coordination
import Messages

extension ServerNode {
  /// Gives the core an event and carries out what it says.
  func handle(_ event: ServerCore.Event) {
    take(event, now: noticePause())
  }

  /// Tells the core if the process did not run for a while. It may be stopped anywhere, also in the
  /// middle of a turn: whatever is judged after that has to know of it.
  ///
  /// - Returns: the time up to which the process is known to have run.
  @discardableResult
  func noticePause() -> Microseconds {
    let now = MonotonicClock.now()
    if let gap = pauses.look(now) {
      take(.slept(gap), now: now)
      monitor.slept(gap)
    }
    return now
  }

  private func take(_ event: ServerCore.Event, now: Microseconds) {
    record(event)
    carryOut(core.handle(event, now: now))
  }

  /// Notes an event in the flight recorder; messages are noted as they come.
  private func record(_ event: ServerCore.Event) {
    guard let recorder else { return }
    switch event {
    case .message, .tick: break
    case .computed(let id, .failed(let reason)):
      recorder.note(.failed, number: id.value, text: reason)
    case .computed(let id, .notFinite(let worker, let what)):
      recorder.note(.notFinite, number: id.value, text: "\(worker ?? -1) \(what)")
    case .computed(let id, .wentFurtherBack(let steps, let why)):
      recorder.note(.wentFurtherBack, number: id.value, text: "\(steps) \(why)")
    case .computed(let id, _): recorder.note(.computed, number: id.value)
    case .connectionLost(let node): recorder.note(.lost, number: UInt64(node.value))
    case .misbehaved(let node, let reason):
      recorder.note(.misbehaved, number: UInt64(node.value), text: reason)
    case .dismissed(let node, let reason):
      recorder.note(.dismissed, number: UInt64(node.value), text: reason)
    case .vouched(let incarnation, let caller):
      recorder.note(.vouched, number: incarnation, text: caller)
    case .stop(let reason): recorder.note(.leave, text: reason)
    case .slept(let gap): recorder.note(.slept, number: gap)
    case .drained(let node): recorder.note(.drained, number: UInt64(node.value))
    case .foundBest(let steps): recorder.note(.foundBest, number: steps)
    case .checkpointNow: recorder.note(.checkpointNow)
    case .checkpointed(let steps, let failure):
      recorder.note(.checkpointed, number: steps, text: failure ?? "")
    }
  }
}
