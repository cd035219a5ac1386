import Coordination
import Transport

/// Who was sent away, told once each and never so often that it fills a log.
struct StrangerLog {
  /// Lines a minute.
  private static let mostLines = 10
  private static let minute: UInt64 = 60_000_000

  private var told: Set<String> = []
  /// Of callers without an address, how many for each reason.
  private var nameless: [String: Int] = [:]
  private var minuteBegan: UInt64 = 0
  private var lines = 0
  private var untold = 0
  /// All there were.
  private(set) var count: UInt64 = 0

  /// - Parameter now: microseconds.
  /// - Returns: a line for the log, if there is something new to say.
  mutating func note(
    _ failure: HandshakeFailure, address: String?, detail: String? = nil, now: UInt64
  ) -> String? {
    count += 1
    if now - minuteBegan >= Self.minute || minuteBegan == 0 {
      minuteBegan = max(now, 1)
      lines = 0
      // After a while it is news again, and what is remembered stays bounded.
      told.removeAll(keepingCapacity: true)
      nameless.removeAll(keepingCapacity: true)
    }
    let who = address ?? "an unknown address"
    let why = Self.why(failure) + (detail.map { " (\($0))" } ?? "")
    // A connection may be gone before its address can be looked up; the next one of the same caller
    // may not be.
    let isNews: Bool
    if address == nil {
      nameless[why, default: 0] += 1
      isNews = nameless[why] == 3 && !told.contains(why)
    } else {
      isNews = told.insert("\(who) \(why)").inserted
      told.insert(why)
    }
    guard isNews, lines < Self.mostLines else {
      untold += 1
      return nil
    }
    lines += 1
    defer { untold = 0 }
    return "refused a connection from \(who): \(why)"
      + (untold > 0 ? "; \(untold) more since the last such line" : "")
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
