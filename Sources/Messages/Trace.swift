/// The server has a member note what its threads do for some turns.
package struct TraceRequest: Hashable, Sendable {
  /// From the one the member is at; 1 to `Limits.traceTurns`.
  package var turns: Int
  /// The server's clock at the sending, microseconds.
  package var sentAt: UInt64

  package init(turns: Int, sentAt: UInt64) {
    self.turns = turns
    self.sentAt = sentAt
  }
}

/// What a member has noted; the spans follow as JSON.
package struct TraceReport: Hashable, Sendable {
  /// The member's clock when the request came and when this was sent, microseconds: with the
  /// server's own at its ends of the two, this is what NTP reckons the clocks' difference from.
  package var requestedAt: UInt64
  package var sentAt: UInt64

  package init(requestedAt: UInt64, sentAt: UInt64) {
    self.requestedAt = requestedAt
    self.sentAt = sentAt
  }
}
