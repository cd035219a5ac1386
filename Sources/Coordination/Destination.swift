package import Messages

/// Where a core sends a message.
package enum Destination: Hashable, Sendable {
  /// The server, on the control connection: small, never behind bulk.
  case server
  /// The server, on the bulk connection.
  case serverBulk
  /// A member: an FC node from a worker or another FC node, or, at the server or an FC node,
  /// whoever dialed in.
  case member(NodeID)
}

/// Identifies one computation a core has asked for, so that a result of an abandoned one is known.
package struct OperationID: Hashable, Sendable {
  package let value: UInt64
  package init(_ value: UInt64) { self.value = value }
}

/// Monotonic microseconds; what zero is does not matter.
package typealias Microseconds = UInt64
