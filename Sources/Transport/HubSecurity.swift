/// How a hub's connections are encrypted, and who may make them. Without it nothing is; inproc
/// never is.
package struct HubSecurity: Sendable {
  /// The listening side: its key, and who is let in.
  package struct Listening: Sendable {
    package var keys: KeyPair
    /// Decides about a caller, on a thread of the context's own: gives the name under which the
    /// hub then knows the caller (`Hub.caller`), or `nil` to send it away.
    package var admit: @Sendable (Caller) -> String?

    package init(keys: KeyPair, admit: @escaping @Sendable (Caller) -> String?) {
      self.keys = keys
      self.admit = admit
    }
  }

  /// The dialing side: its key, and the only one that may answer.
  package struct Dialing: Sendable {
    package var keys: KeyPair
    package var peer: PublicKey

    package init(keys: KeyPair, peer: PublicKey) {
      self.keys = keys
      self.peer = peer
    }
  }

  package var listening: Listening?
  /// For endpoints dialed without a `Dialing` of their own.
  package var dialing: Dialing?

  package init(listening: Listening? = nil, dialing: Dialing? = nil) {
    self.listening = listening
    self.dialing = dialing
  }

  /// Among those who share one key pair: they listen, dial and are let in with it.
  package static func shared(_ keys: KeyPair) -> HubSecurity {
    HubSecurity(
      listening: Listening(keys: keys) { $0.key == keys.publicKey ? "member" : nil },
      dialing: Dialing(keys: keys, peer: keys.publicKey))
  }
}

/// Somebody at the door.
package struct Caller: Hashable, Sendable {
  /// It has proved that it has the secret half.
  package let key: PublicKey
  /// Its IP address.
  package let address: String
}

/// Why a connection did not come about though somebody was there.
package enum HandshakeFailure: Hashable, Sendable, CustomStringConvertible {
  /// Our key is not on the other side's list; seen from there: one that is not on ours.
  case keyRefused
  /// One side wants encryption and the other does not.
  case securityMismatch
  /// What came cannot be decrypted: it was meant for another key.
  case wrongKey
  /// The other side hung up. With CURVE that is also how one learns that it has another key than
  /// the one expected.
  case hungUp(String)
  /// It does not speak ZMTP 3, or not well.
  case protocolError(String)

  package var description: String {
    switch self {
    case .keyRefused: "the key is not on the list"
    case .securityMismatch: "one side encrypts and the other does not"
    case .wrongKey: "encrypted for another key"
    case .hungUp(let reason): "hung up: \(reason)"
    case .protocolError(let reason): "protocol error \(reason)"
    }
  }
}
