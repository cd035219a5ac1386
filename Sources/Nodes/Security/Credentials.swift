package import Transport

/// By what somebody who connects shows who it is.
package enum Credentials: Sendable {
  case keyFile(NodeKeyFile)
  case token(JoinToken)

  /// For connections to the server.
  package var dialing: HubSecurity.Dialing {
    switch self {
    case .keyFile(let file): .init(keys: file.keys, peer: file.server)
    case .token(let token): .init(keys: token.keys, peer: token.server)
    }
  }

  /// What to tell people about a connection to the server that failed.
  ///
  /// - Returns: one line that says what to do.
  static func explain(
    _ failure: HandshakeFailure, at endpoint: String, with credentials: Credentials?
  ) -> String {
    switch (failure, credentials) {
    case (.securityMismatch, nil), (.keyRefused, nil), (.wrongKey, nil):
      "the server at \(endpoint) lets in only those who have a key: give --key-file FILE (crosscut "
        + "keygen makes them) or --join TOKEN (crosscut token prints one on the server's machine)"
    case (.securityMismatch, .some):
      "the server at \(endpoint) does not encrypt: start it with --secure, or leave out the key"
    case (.keyRefused, .keyFile(let file)):
      "the server at \(endpoint) refuses the key of \(file.path) (\(file.keys.publicKey.short)...): "
        + "it is not in allowed-keys beside the server's key; crosscut keygen --node adds one"
    case (.keyRefused, .token):
      "the server at \(endpoint) refuses the token: it has expired or has been used; crosscut "
        + "token prints a new one"
    case (.hungUp, .keyFile(let file)), (.wrongKey, .keyFile(let file)):
      "the server at \(endpoint) has another key than \(file.path) says: the file is of another "
        + "cluster, or somebody else answers there"
    case (.hungUp, .token), (.wrongKey, .token):
      "the server at \(endpoint) has another key than the token says: the token is of another "
        + "cluster, or somebody else answers there"
    case (.hungUp, nil):
      // A server with keys may hang up before its greeting has come that says so.
      explain(.securityMismatch, at: endpoint, with: nil)
        + "; or what answers there is no crosscut server: is the port right?"
    case (.protocolError, _):
      "what answers at \(endpoint) is no crosscut server: is the port right?"
    }
  }
}

/// Judges handshakes that fail: some will never succeed, and ZeroMQ itself gives them up; one that
/// the other side hung up in may be a wrong key, or a server that starts just now.
struct HandshakeWatch {
  enum Verdict: Hashable {
    case wait
    /// To be told now, and tried on.
    case tell
    case giveUp
  }

  private static let second: UInt64 = 1_000_000
  /// Since when every handshake was hung up in.
  private var since: UInt64?
  private var hasTold = false
  private var newest: (failure: HandshakeFailure, at: UInt64)?

  /// - Parameters:
  ///   - now: microseconds.
  ///   - isKnown: whether the server has let this process in before: then whoever hangs up is a
  ///     server that does not run just now, and how long to wait for it is not for this to say.
  mutating func judge(
    _ failure: HandshakeFailure, now: UInt64, isKnown: Bool = false
  ) -> Verdict {
    newest = (failure, now)
    switch failure {
    case .hungUp: break
    // Somebody may be writing the list of keys anew.
    case .keyRefused where isKnown: return .wait
    default: return .giveUp
    }
    guard !isKnown else { return .wait }
    guard let since else {
      since = now
      return .wait
    }
    if now - since > 10 * Self.second { return .giveUp }
    guard now - since > 2 * Self.second, !hasTold else { return .wait }
    hasTold = true
    return .tell
  }

  mutating func connected() { self = HandshakeWatch() }

  /// This process did not run for so long, microseconds: nobody hung up on it meanwhile.
  mutating func slept(_ gap: UInt64) { since = since.map { $0 + gap } }

  /// What keeps this node out; `nil` if nothing does, or there has been no attempt for a while:
  /// then nobody answers any more.
  ///
  /// - Parameter now: microseconds.
  func trouble(now: UInt64) -> HandshakeFailure? {
    newest.flatMap { now < $0.at + 3 * Self.second ? $0.failure : nil }
  }
}
