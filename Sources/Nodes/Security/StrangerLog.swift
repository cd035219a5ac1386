import Coordination
import Transport

/// Who was sent away, told once each and never so often that it fills a log.
struct StrangerLog {
  /// How long a caller without an address is held back for one with an address.
  private static let patience: UInt64 = 500_000

  private var told: Set<String> = []
  /// Of callers without an address, when the first came for each reason that nobody has told of.
  private var nameless: [String: UInt64] = [:]
  private var limit = LineLimit()
  /// All there were.
  private(set) var count: UInt64 = 0

  /// - Parameter now: microseconds.
  /// - Returns: a line for the log, if there is something new to say. Of a caller whose address is
  ///   not known `overdue` tells.
  mutating func note(
    _ failure: HandshakeFailure, address: String?, detail: String? = nil, now: UInt64
  ) -> String? {
    count += 1
    begin(now)
    let why = Self.why(failure) + (detail.map { " (\($0))" } ?? "")
    guard let address else {
      if told.contains(why) || nameless[why] != nil { limit.hold() } else { nameless[why] = now }
      return nil
    }
    // Most likely the same caller, whose connection was there for longer this time.
    if nameless.removeValue(forKey: why) != nil { limit.hold() }
    told.insert(why)
    let isNews = told.insert("\(address) \(why)").inserted
    return isNews ? line(address, why, now) : hold()
  }

  /// Lines about callers whose address stays unknown: a connection may be gone before it can be
  /// looked up, and that of the same caller's next attempt may not be.
  ///
  /// - Parameter now: microseconds.
  mutating func overdue(now: UInt64) -> [String] {
    guard !nameless.isEmpty else { return [] }
    let due = nameless.filter { now >= $0.value + Self.patience }.keys.sorted()
    guard !due.isEmpty else { return [] }
    begin(now)
    return due.compactMap { why in
      nameless[why] = nil
      return told.insert(why).inserted ? line("an unknown address", why, now) : hold()
    }
  }

  /// After a while it is news again, and what is remembered stays bounded.
  private mutating func begin(_ now: UInt64) {
    if limit.begin(now) { told.removeAll(keepingCapacity: true) }
  }

  private mutating func line(_ who: String, _ why: String, _ now: UInt64) -> String? {
    limit.line("refused a connection from \(who): \(why)", now: now)
  }

  private mutating func hold() -> String? {
    limit.hold()
    return nil
  }

  private static func why(_ failure: HandshakeFailure) -> String {
    switch failure {
    case .keyRefused: "its key is not in allowed-keys, or its token is over"
    case .securityMismatch: "it does not encrypt as this node does (no key, or one too many)"
    case .wrongKey: "it expects another key here: its key file or token is of another cluster"
    case .hungUp(let reason): "it hung up in the handshake (\(reason)): no key, or a wrong one?"
    case .protocolError(let reason): "it does not speak the protocol (error \(reason))"
    }
  }
}
