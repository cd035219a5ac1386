import Coordination
import Messages

extension ServerNode {
  /// Before the server does something to itself, for the answer to leave, microseconds.
  private static let noticeOfDrill: UInt64 = 200_000

  /// Has a node do a fault to itself, if all concerned were started with --allow-drills.
  func begin(_ drill: Drill, at target: NodeName) -> CommandReply {
    func refuse(_ why: String) -> CommandReply {
      CommandReply(text: "no drill: \(why)", ok: false)
    }
    let text = "drill at \(target): \(drill)"
    guard options.allowsDrills else {
      return refuse("the server was started without --allow-drills")
    }
    if target == .server {
      guard drill.kind != .diskFull || writer != nil else {
        return refuse("the run has no run directory to put checkpoints in")
      }
      pendingDrill = (drill, MonotonicClock.now() + Self.noticeOfDrill)
      return CommandReply(text: text, ok: true)
    }
    guard drill.kind != .diskFull else { return refuse("only the server writes checkpoints") }
    guard
      let record = core.membership.ranked(target.role).first(where: { $0.name == target }),
      let link = controlLinks[record.node]
    else { return refuse("there is no \(target)") }
    guard record.join.allowsDrills else {
      return refuse("\(target) was started without --allow-drills")
    }
    send(Message(identity, .drill(drill)), over: link)
    return CommandReply(text: text, ok: true)
  }

  /// Does to the server what it was asked for, once it is time.
  func drillIfDue() {
    guard let (drill, time) = pendingDrill, MonotonicClock.now() >= time else { return }
    pendingDrill = nil
    DrillExecution.carryOut(
      drill, isAllowed: options.allowsDrills, hub: hub, log: log,
      stall: { compute.stall(milliseconds: $0) },
      fillDisk: { diskFullUntil.value = MonotonicClock.now() + UInt64($0) * 1000 })
  }
}
