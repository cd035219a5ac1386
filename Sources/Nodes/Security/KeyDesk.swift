import Messages
import Tensors
import Transport

/// How a server is secured.
package struct ServerSecurity: Sendable {
  package let file: ServerKeyFile
  package let allowed: AllowedKeys

  /// Reads the server's key and its list.
  package init(keyFile path: String) throws(NodeError) {
    file = try ServerKeyFile(path: path)
    allowed = try AllowedKeys(path: file.allowedKeysPath)
  }

  /// Lets in who is on the list, and who has the server's own key.
  var hub: HubSecurity {
    let own = file.keys.publicKey
    let allowed = allowed
    return HubSecurity(
      listening: .init(keys: file.keys) { caller in
        if caller.key == own { return "\(Standing.node(own, name: "the server's key"))" }
        switch allowed.standing(of: caller.key) {
        case .node(let key, let name): return "\(Standing.node(key, name: name))"
        case .token(let key, _, _, _): return "\(Standing.token(key))"
        case nil: return nil
        }
      })
  }
}

/// What somebody at the server may do, in the words the gatekeeper passes on.
enum Standing: Hashable, CustomStringConvertible {
  case node(PublicKey, name: String)
  case token(PublicKey)

  init?(_ caller: String?) {
    let words = (caller ?? "").split(separator: " ", maxSplits: 2).map(String.init)
    guard words.count >= 2, let key = PublicKey(hex: words[1]) else { return nil }
    switch (words[0], words.count) {
    case ("node", 3): self = .node(key, name: words[2])
    case ("token", 2): self = .token(key)
    default: return nil
    }
  }

  /// The key by which it came in.
  var key: PublicKey {
    switch self {
    case .node(let key, _), .token(let key): key
    }
  }

  /// For people: "gpu1 (key 1a2b3c4d5e6f...)".
  var title: String {
    switch self {
    case .node(let key, let name): "\(name) (key \(key.short)...)"
    case .token(let key): "a token (key \(key.short)...)"
    }
  }

  var description: String {
    switch self {
    // ZAP's user id has 255 bytes at most.
    case .node(let key, let name): "node \(key) \(name.prefix(100))"
    case .token(let key): "token \(key)"
    }
  }
}

/// The server's side of what precedes every join: hands out the key that members share, and puts
/// those who come with a token on the list.
///
/// Its messages are no protobuf: they have to be understood before anything else is, and there are
/// two of them. Request: `greeting`, the public key to enrol (empty for who is on the list).
/// Reply: `greeting`, "ok" and the shared secret half, or "no" and the reason.
struct KeyDesk {
  static let greeting = Array("crosscut keys 1".utf8)

  /// What is to become of a message.
  enum Outcome {
    /// It is for others to look at.
    case pass
    /// It is answered; the text, if any, is for the log.
    case answered([Frame], log: String?)
    /// Who sent it may not say that.
    case forbidden
  }

  let security: ServerSecurity

  func handle(_ parts: [Frame], from caller: String?, isStatusRequest: () -> Bool) -> Outcome {
    guard let standing = Standing(caller) else { return .forbidden }
    guard let first = parts.first, first.bytes.elementsEqual(Self.greeting) else {
      let isProbe = Probe.isOne(parts)
      if case .token = standing, !isProbe, !isStatusRequest() { return .forbidden }
      return .pass
    }
    let secret = Self.reply("ok", security.file.cluster.secretHex)
    guard case .token(let token) = standing else { return .answered(secret, log: nil) }
    guard parts.count == 2,
      let key = PublicKey(hex: String(decoding: parts[1].bytes, as: UTF8.self))
    else { return .forbidden }
    let name = "by-token-\(token.short)"
    do throws(NodeError) {
      try security.allowed.enrol(key, as: name, by: token)
      return .answered(secret, log: "key \(key.short)... enrolled by token \(token.short)...")
    } catch {
      return .answered(Self.reply("no", error.message), log: "\(error)")
    }
  }

  private static func reply(_ word: String, _ text: String) -> [Frame] {
    [greeting, Array(word.utf8), Array(text.utf8)].map { Frame(copying: $0) }
  }
}
