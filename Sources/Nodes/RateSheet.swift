import Coordination
import Messages
import Synchronization

/// What the learning rate depends on beside the configuration and the step: written by a socket
/// thread, read by the compute thread beside it.
///
/// Operators' changes are bound to steps, so that it does not matter when a node hears of one as
/// long as it does before that step's update.
final class RateSheet: Sendable {
  private struct Entries {
    var totalSteps: UInt64 = 0
    var reductions = 0
    var changes: [RateChange]
  }

  private let entries: Mutex<Entries>

  init(_ changes: [RateChange] = []) { entries = Mutex(Entries(changes: changes)) }

  /// Steps of the whole run, which the decay depends on; 0 as long as nobody knows.
  var totalSteps: UInt64 {
    get { entries.withLock { $0.totalSteps } }
    set { entries.withLock { $0.totalSteps = newValue } }
  }

  /// How often validation has lowered the rate. It changes between an evaluation and the step after
  /// it, when no step is under way.
  var reductions: Int {
    get { entries.withLock { $0.reductions } }
    set { entries.withLock { $0.reductions = newValue } }
  }

  /// What operators have made of it, by ascending first step.
  var changes: [RateChange] {
    get { entries.withLock { $0.changes } }
    set { entries.withLock { $0.changes = newValue } }
  }

  /// What the scheduled learning rate is multiplied by at `step`.
  func factor(at step: UInt64) -> Double { entries.withLock { $0.changes.factor(at: step) } }

  /// Takes over what the server tells a member of it.
  func follow(_ message: Message, _ plan: RunPlan) {
    switch message.body {
    case .view(let view):
      totalSteps = plan.totalSteps(view.dataset)
      reductions = view.rateReductions
      changes = view.rateChanges
    case .advance(let advance):
      reductions = advance.rateReductions
      changes = advance.rateChanges
    default: break
    }
  }

  /// From so many times the schedule on it is probably a slip: no training stands it.
  private static let absurdFactor = 1000.0

  /// Behind what is said of a change of the learning rate, if that is far beyond the schedule.
  static func warning(of factor: Double) -> String {
    factor < absurdFactor
      ? ""
      : "; warning: that is far beyond the schedule's: the run ends once a number is not finite"
  }
}
