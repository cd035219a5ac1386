package import Messages

/// A process the server knows.
package struct MemberRecord: Sendable {
  package enum State: String, Hashable, Sendable {
    /// Welcomed, still opening data or planning memory.
    case preparing
    /// Can take part in the next view.
    case ready
    /// In the present view.
    case active
    /// Has asked to go, or been told to.
    case leaving
  }

  package let node: NodeID
  package let incarnation: UInt64
  /// Role, and rank within it as people see it; an FC node's rank is its slice, a shard's says which
  /// chunks it owns.
  package let name: NodeName
  package let join: Join
  /// By whom its offences count.
  let origin: String
  package var state: State
  package var lastHeard: Microseconds
  package var heartbeat: Heartbeat?
  /// Whether its process has ever been prepared: before that it hears nothing but its welcome.
  var hasBeenReady = false

  package var member: Member {
    Member(node: node, incarnation: incarnation, name: name, endpoint: join.endpoint)
  }
}

/// Who is there, and which ranks they have.
package struct Membership: Sendable {
  /// More would not fit the bounded message that lists them.
  package static let mostWorkers = 512

  package private(set) var records: [NodeID: MemberRecord] = [:]
  private var nextNode: UInt32 = 1

  package init() {}

  package subscript(node: NodeID) -> MemberRecord? { records[node] }

  /// Records of a role by rank.
  package func ranked(_ role: Role) -> [MemberRecord] {
    records.values.filter { $0.name.role == role }.sorted { $0.name.rank < $1.name.rank }
  }

  package func find(incarnation: UInt64) -> MemberRecord? {
    records.values.first { $0.incarnation == incarnation }
  }

  /// Adds a process under the rank it prefers, if there is such a one and it is free, or the lowest
  /// free one.
  ///
  /// - Parameters:
  ///   - ranks: the ranks that the role has; an FC node's rank is its slice.
  ///   - origin: by whom its offences count; `nil`: by what it says of itself.
  package mutating func add(
    _ join: Join, incarnation: UInt64, ranks: Range<Int> = 0..<Int.max, origin: String? = nil,
    now: Microseconds
  ) -> MemberRecord {
    let taken = Set(ranked(join.role).map(\.name.rank))
    var rank = Int(join.preferredRank)
    if !ranks.contains(rank) || taken.contains(rank) {
      rank = ranks.lowerBound
      while taken.contains(rank) { rank += 1 }
    }
    let record = MemberRecord(
      node: NodeID(nextNode), incarnation: incarnation, name: NodeName(join.role, rank),
      join: join, origin: origin ?? Self.origin(of: join, caller: nil), state: .preparing,
      lastHeard: now)
    nextNode += 1
    records[record.node] = record
    return record
  }

  /// By whom offences count: by the key that is proved, else by host and process number, which
  /// anybody can make up.
  static func origin(of join: Join, caller: String?) -> String {
    caller.map { "key \($0)" } ?? "process \(join.host) \(join.processID)"
  }

  package mutating func remove(_ node: NodeID) { records[node] = nil }

  package mutating func update(_ node: NodeID, _ change: (inout MemberRecord) -> Void) {
    guard var record = records[node] else { return }
    change(&record)
    records[node] = record
  }
}
