import Configuration
import Coordination
import Messages
import Training

extension FlightReplay {
  static let isOfAnother = "the run's configuration has changed since"

  /// Whether a ring tells of turns that a run of this configuration does not have: no core must be
  /// led there.
  static func goesBeyond(_ configuration: RunConfiguration, _ ring: FlightRing) -> Bool {
    guard let plan = try? RunContext(configuration).plan else { return false }
    return ring.records.contains { record in
      guard case .view(let view) = FlightMessage.decode(record)?.body else { return false }
      return view.resumeTurn > plan.program(view.dataset).count
    }
  }
}
