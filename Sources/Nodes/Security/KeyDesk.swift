import Coordination
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
    HubSecurity(listening: .init(keys: file.keys) { standing(of: $0.key).map { "\($0)" } })
  }

  /// What somebody with this key may do; `nil`: nothing.
  ///
  /// - Parameter age: microseconds for which the list is believed without another look.
  func standing(of key: PublicKey, noOlderThan age: UInt64 = 0) -> Standing? {
    if key == file.keys.publicKey { return .node(key, name: "the server's key") }
    return switch allowed.standing(of: key, noOlderThan: age) {
    case .node(let key, let name): .node(key, name: name)
    case .token(let key, _, _, _): .token(key)
    case nil: nil
    }
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

  /// Between two writes of the list, microseconds: each waits for the disk, and the server with it.
  private static let pause: Microseconds = 200_000
  /// Who waits for the next at most.
  private static let mostWaiting = 1024

  /// What is to become of a message.
  enum Outcome {
    /// It is for others to look at.
    case pass
    case answered([Frame])
    /// It is answered when the list has been written.
    case waits
    /// Its key is not put on the list; what to answer, and why.
    case refused([Frame], String)
    /// Who sent it may not say that.
    case forbidden
  }

  /// What somebody who has waited is told.
  struct Answer {
    let link: Hub.Link
    let parts: [Frame]
    let text: String
    let isEnrolled: Bool
  }

  let security: ServerSecurity
  private var waiting: [(link: Hub.Link, enrolment: AllowedKeys.Enrolment)] = []
  /// Connections over which a key has been handed in: one each.
  private var served: Set<Hub.Link> = []
  private var lastWrite: Microseconds?

  init(security: ServerSecurity) { self.security = security }

  /// Whether a message is for the desk, whoever may have sent it.
  static func isRequest(_ parts: [Frame]) -> Bool {
    parts.first?.bytes.elementsEqual(greeting) == true
  }

  /// Looks at a message of somebody with this standing.
  mutating func handle(
    _ parts: [Frame], from standing: Standing, over link: Hub.Link, isStatusRequest: () -> Bool
  ) -> Outcome {
    guard Self.isRequest(parts) else {
      if case .token = standing, !Probe.isOne(parts), !isStatusRequest() { return .forbidden }
      return .pass
    }
    guard case .token(let token) = standing else { return .answered(secret) }
    guard parts.count == 2, !served.contains(link), waiting.count < Self.mostWaiting,
      let key = PublicKey(hex: String(decoding: parts[1].bytes, as: UTF8.self))
    else { return .forbidden }
    served.insert(link)
    let enrolment = AllowedKeys.Enrolment(key: key, token: token)
    if let objection = security.allowed.objection(to: enrolment) {
      return .refused(Self.no(objection.message), Self.line(enrolment, objection))
    }
    waiting.append((link, enrolment))
    return .waits
  }

  /// Writes the list for those who wait, if it is time to.
  mutating func settle(_ now: Microseconds) -> [Answer] {
    guard !waiting.isEmpty, lastWrite.map({ now - min(now, $0) >= Self.pause }) ?? true else {
      return []
    }
    let objections = security.allowed.enrol(waiting.map(\.enrolment))
    // Not from its beginning: a disk that is slow is not to have the server wait all the time.
    lastWrite = max(now, MonotonicClock.now())
    defer { waiting = [] }
    return zip(waiting, objections).map { one, objection in
      Answer(
        link: one.link, parts: objection.map { Self.no($0.message) } ?? secret,
        text: Self.line(one.enrolment, objection), isEnrolled: objection == nil)
    }
  }

  /// Forgets a connection that is closed; what it asked for is done all the same.
  mutating func forget(_ link: Hub.Link) { served.remove(link) }

  private static func line(
    _ enrolment: AllowedKeys.Enrolment, _ objection: NodeError?
  ) -> String {
    let token = "token \(enrolment.token.short)..."
    return objection.map { "\(token) enrols no key: \($0)" }
      ?? "key \(enrolment.key.short)... enrolled by \(token)"
  }

  private var secret: [Frame] { Self.reply("ok", security.file.cluster.secretHex) }

  /// The answer to a request that is not met.
  static func no(_ reason: String) -> [Frame] { reply("no", reason) }

  private static func reply(_ word: String, _ text: String) -> [Frame] {
    [greeting, Array(word.utf8), Array(text.utf8)].map { Frame(copying: $0) }
  }
}
