import CLinux
import Glibc
import Messages
import Observability
import Transport

/// Does to this very process what a drill asks for.
enum DrillExecution {
  /// Says what came of an impairment of the hub's messages once it is over.
  ///
  /// - Parameter ending: it is over with the hub.
  static func tellOfEnd(hub: Hub, log: Logger, ending: Bool = false) {
    guard let messages = hub.impairmentOver(ending: ending) else { return }
    log.warning("drill over: it has hit \(messages) message\(messages == 1 ? "" : "s")")
  }

  /// Carries out a drill on the socket thread.
  ///
  /// - Parameters:
  ///   - isAllowed: whether the process was started with --allow-drills; the server has looked at
  ///     what the node said of it, the node looks itself.
  ///   - hub: whose messages are delayed, lost or cut.
  ///   - stall: lets the compute thread sleep, milliseconds.
  ///   - fillDisk: has checkpoints fail, milliseconds.
  static func carryOut(
    _ drill: Drill, isAllowed: Bool, hub: Hub, log: Logger, stall: (Int) -> Void,
    fillDisk: (Int) -> Void
  ) {
    guard isAllowed else {
      return log.warning("refused a drill: this node was started without --allow-drills")
    }
    log.warning("drill: \(drill)")
    switch drill.kind {
    case .kill: kill(getpid(), SIGKILL)
    case .stop:
      guard crosscut_stop_self(UInt32(drill.milliseconds)) != 0 else { return }
      log.error("drill: cannot stop: fork: \(String(cString: strerror(errno)))")
    case .hang: stall(drill.milliseconds)
    case .delay:
      hub.impair(
        .delay(milliseconds: drill.latencyMilliseconds), milliseconds: drill.milliseconds)
    case .drop: hub.impair(.drop(percent: drill.percent), milliseconds: drill.milliseconds)
    case .corrupt: hub.impair(.corrupt(percent: drill.percent), milliseconds: drill.milliseconds)
    case .diskFull: fillDisk(drill.milliseconds)
    }
  }
}
