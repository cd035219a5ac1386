import Glibc
package import Observability
import Tensors
package import Transport

/// What a member of a secured cluster has.
package struct MemberSecurity: Sendable {
  /// What it came with, for what people are told.
  package let credentials: Credentials
  /// For its connections to the server.
  package let server: HubSecurity.Dialing
  /// The key that members share.
  package let cluster: KeyPair

  init(credentials: Credentials, server: HubSecurity.Dialing, cluster: KeyPair) {
    self.credentials = credentials
    self.server = server
    self.cluster = cluster
  }

  /// Of a member that runs beside the server, with the server's own key.
  init(beside server: ServerSecurity) throws(NodeError) {
    let file = try NodeKeyFile(path: server.file.path)
    self.init(
      credentials: .keyFile(file), server: Credentials.keyFile(file).dialing,
      cluster: server.file.cluster)
  }
}

/// A node's side of what precedes every join: fetches the key that members share and, with a
/// token, has a key of its own put on the server's list.
package enum KeyRequest {
  /// Asks the server until it answers.
  ///
  /// - Parameter signals: end it.
  /// - Returns: `nil` if a signal came.
  /// - Throws: `NodeError` with what to do about it.
  package static func run(
    context: Context, endpoint: String, credentials: Credentials, timeoutSeconds: Int,
    signals: Signals?, log: Logger
  ) throws -> MemberSecurity? {
    let hub = try Hub(context: context, listen: nil)
    defer { hub.close(lingerMilliseconds: 0) }
    let link = try hub.dial(endpoint, with: credentials.dialing)
    let enrolled: KeyPair? =
      if case .token = credentials { try KeyDirectory.generate() } else { nil }
    let request = [
      Frame(copying: KeyDesk.greeting),
      Frame(copying: Array((enrolled.map { "\($0.publicKey)" } ?? "").utf8)),
    ]
    log.info("asking the server at \(endpoint) for the cluster's key")
    var patience = Patience(endpoint, seconds: timeoutSeconds, since: MonotonicClock.now())
    var watch = HandshakeWatch()
    while true {
      let now = MonotonicClock.now()
      let trouble = watch.trouble(now: now).map {
        Credentials.explain($0, at: endpoint, with: credentials)
      }
      if let line = try patience.look(now, trouble: trouble) { log.info(line) }
      if signals?.next() != nil { return nil }
      _ = try hub.wait(
        milliseconds: 100, wakeUp: nil, extraDescriptors: signals.map { [$0.descriptor] } ?? [])
      for event in hub.takeEvents() {
        switch event {
        case .connected:
          watch.connected()
          _ = hub.send(request, to: link)
        case .handshakeFailed(_, let failure):
          let text = Credentials.explain(failure, at: endpoint, with: credentials)
          switch watch.judge(failure, now: MonotonicClock.now()) {
          case .wait: break
          case .tell: log.warning(text)
          case .giveUp: throw NodeError(text)
          }
        default: break
        }
      }
      while let (_, parts) = try hub.receive() {
        let cluster = try answer(parts, endpoint)
        let server = HubSecurity.Dialing(
          keys: enrolled ?? credentials.dialing.keys, peer: credentials.dialing.peer)
        return MemberSecurity(credentials: credentials, server: server, cluster: cluster)
      }
    }
  }

  private static func answer(_ parts: [Frame], _ endpoint: String) throws(NodeError) -> KeyPair {
    let words = parts.map { String(decoding: $0.bytes, as: UTF8.self) }
    guard words.count == 3, parts[0].bytes.elementsEqual(KeyDesk.greeting) else {
      throw NodeError("\(endpoint) answers, but not as this crosscut's server")
    }
    guard words[1] == "ok" else {
      throw NodeError("the server at \(endpoint) gives no key: \(words[2])")
    }
    // Not to be quoted: it may be a secret of another form.
    guard let pair = KeyPair(secretHex: words[2]) else {
      throw NodeError("the server at \(endpoint) gives a key that cannot be used here")
    }
    return pair
  }
}
