import Configuration
import Coordination
import Messages
import Observability

/// How long a run has waited for nodes of which none is on its way: whether it does so in vain for a
/// process that is not started again.
struct VainWait: Sendable {
  /// How long those that live may take to find a server that came back, seconds.
  private static let joining = 60.0

  private let minimumWorkers: Int
  /// After so long a server that came back goes on with fewer, if they are enough.
  private let patience: Double
  private var waited: LivedTime?
  private var missing: Set<Role> = []

  init(_ cluster: ClusterConfiguration) {
    minimumWorkers = cluster.minimumWorkers
    patience = Self.joining + Double(cluster.progressTimeoutSeconds)
  }

  /// Takes what the server says.
  mutating func take(_ record: StatusRecord, now: Microseconds = MonotonicClock.now()) {
    // Every pause and every new life of a server is a gathering, and who has come and is not ready
    // yet will be.
    guard record.state == .gathering, record.serverWaits.allSatisfy({ $0.kind == .absent }) else {
      waited = nil
      return
    }
    if waited == nil { waited = LivedTime(now: now) }
    waited?.look(now: now)
    func count(_ role: Role) -> Int { record.nodes.count { $0.role == role } }
    missing = []
    if count(.fc) < record.fcNodesWanted { missing.insert(.fc) }
    if count(.shard) < record.serverShardsWanted ?? 0 { missing.insert(.shard) }
    // What else it waits for is a worker: one with some part of the data.
    if missing.isEmpty || count(.worker) < minimumWorkers { missing.insert(.worker) }
  }

  /// Whether the run does not go on without a process of these roles.
  func isLong(for roles: Set<Role>) -> Bool {
    (waited?.seconds ?? 0) > patience && !missing.isDisjoint(with: roles)
  }
}
