/// A fault that an operator has a node of a running cluster do to itself, to see what comes of it.
package struct Drill: Hashable, Sendable {
  package enum Kind: String, Hashable, Sendable, CaseIterable {
    /// The process kills itself.
    case kill
    /// The process stops, and goes on later.
    case stop
    /// The compute thread sleeps while the socket thread goes on.
    case hang
    /// What the node sends leaves later.
    case delay
    /// Some of what the node sends is lost.
    case drop
    /// Some of what the node sends is cut short.
    case corrupt
    /// Checkpoints fail as on a full disk; the server's only.
    case diskFull = "disk-full"
  }

  /// Longest duration and latency, milliseconds.
  package static let longestMilliseconds = 3_600_000
  package static let longestLatencyMilliseconds = 60_000

  package var kind: Kind
  /// How long it lasts, at least 1; of no matter for a kill.
  package var milliseconds: Int
  /// Of 100 messages, how many are lost or cut, 1...100; each is decided for itself.
  package var percent: Int
  /// How much later each message leaves, at least 1.
  package var latencyMilliseconds: Int

  package init(
    kind: Kind, milliseconds: Int = 5000, percent: Int = 10, latencyMilliseconds: Int = 200
  ) {
    self.kind = kind
    self.milliseconds = milliseconds
    self.percent = percent
    self.latencyMilliseconds = latencyMilliseconds
  }
}

extension Drill: CustomStringConvertible {
  package var description: String {
    let duration = "for \(milliseconds) ms"
    return switch kind {
    case .kill: "kill"
    case .stop, .hang, .diskFull: "\(kind.rawValue) \(duration)"
    case .delay: "delay by \(latencyMilliseconds) ms \(duration)"
    case .drop, .corrupt: "\(kind.rawValue) \(percent) % of its messages \(duration)"
    }
  }
}

/// A member says that another's messages break the protocol.
package struct Complaint: Hashable, Sendable {
  package var node: NodeID
  /// What is wrong with them, for people.
  package var reason: String

  package init(node: NodeID, reason: String) {
    self.node = node
    self.reason = Limits.clipped(reason)
  }
}
