import Messages
import Synchronization

/// What operators have made of the learning rate: written by a socket thread, read by the compute
/// thread beside it.
///
/// Changes are bound to steps, so that it does not matter when a node hears of one as long as it
/// does before that step's update.
final class RateSheet: Sendable {
  private let sheet: Mutex<[RateChange]>

  init(_ changes: [RateChange] = []) { sheet = Mutex(changes) }

  /// By ascending first step.
  var changes: [RateChange] {
    get { sheet.withLock { $0 } }
    set { sheet.withLock { $0 = newValue } }
  }

  /// What the scheduled learning rate is multiplied by at `step`.
  func factor(at step: UInt64) -> Double { sheet.withLock { $0.factor(at: step) } }
}
