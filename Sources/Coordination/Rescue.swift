import Messages

/// A lost FC node's slice on its way from the node that mirrors it.
struct Rescue: Sendable {
  let lost: MemberRecord
  let mirror: NodeID
  /// Committed when it was lost.
  let steps: UInt64
  /// Number of the transfer of what is mirrored.
  var transfer: UInt32 = 0
}
