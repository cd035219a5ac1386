import Synchronization
import Tensors
import Testing

@testable import Transport

/// CURVE between hubs: who comes in, and what the two sides learn when somebody does not.
@Suite(.timeLimit(.minutes(30)))
struct SecurityTests {
  private let network: Network
  private let serverKeys: KeyPair
  private let clientKeys: KeyPair

  init() throws {
    network = try Network()
    serverKeys = try .generate()
    clientKeys = try .generate()
  }

  /// A server that knows one client.
  private func server(_ scheme: Scheme = .tcp) throws -> Hub {
    let known = clientKeys.publicKey
    let listening = HubSecurity.Listening(keys: serverKeys) { $0.key == known ? "alice" : nil }
    return try Hub(
      context: network.context, listen: network.endpoint(scheme),
      security: HubSecurity(listening: listening))
  }

  private func client(_ keys: KeyPair, server: PublicKey) throws -> Hub {
    try Hub(
      context: network.context, listen: nil,
      security: HubSecurity(dialing: .init(keys: keys, peer: server)))
  }

  @Test(arguments: Scheme.allCases)
  func `who has a key of the list is let in, heard and answered`(scheme: Scheme) throws {
    let server = try server(scheme)
    let client = try client(clientKeys, server: serverKeys.publicKey)
    let link = try client.dial(#require(server.boundEndpoint))
    let large = integers(300_000)
    #expect(client.send([text("hello"), large], to: link))
    var caller: String?
    var answer = ""
    try pump(
      [server, client],
      messages: { index, sender, parts in
        if index == 0 {
          #expect(parts[1].bytes.elementsEqual(large.bytes))
          caller = server.caller(sender)
          #expect(server.send([text("good day")], to: sender))
        } else {
          answer = text(parts[0])
        }
      }, until: { !answer.isEmpty })
    #expect(answer == "good day")
    // inproc is one process, where ZeroMQ neither encrypts nor asks.
    #expect(caller == (scheme == .inproc ? nil : "alice"))
  }

  @Test func `the gatekeeper is asked with the key and the address of the caller`() throws {
    let seen = Mutex<[Caller]>([])
    let listening = HubSecurity.Listening(keys: serverKeys) { caller in
      seen.withLock { $0.append(caller) }
      return "anybody"
    }
    let server = try Hub(
      context: network.context, listen: "tcp://127.0.0.1:0",
      security: HubSecurity(listening: listening))
    let client = try client(clientKeys, server: serverKeys.publicKey)
    let link = try client.dial(#require(server.boundEndpoint))
    var isUp = false
    try pump([server, client], events: { if $1 == .connected(link) { isUp = true } }) { isUp }
    #expect(
      seen.withLock { $0 } == [Caller(key: clientKeys.publicKey, address: "127.0.0.1")])
  }

  /// What server and client are told of a connection that does not come about.
  private func failures(
    _ server: Hub, _ client: Hub
  ) throws -> (server: HandshakeFailure, address: String?, client: HandshakeFailure) {
    let link = try client.dial(#require(server.boundEndpoint))
    var seen: (HandshakeFailure, String?)?
    var told: HandshakeFailure?
    var messages = 0
    _ = client.send([text("let me in")], to: link)
    try pump(
      [server, client],
      events: { _, event in
        switch event {
        case .strangerRefused(let failure, let address): seen = (failure, address)
        case .handshakeFailed(_, let failure): told = failure
        default: break
        }
      }, messages: { _, _, _ in messages += 1 }, until: { seen != nil && told != nil })
    #expect(messages == 0)
    let (failure, address) = try #require(seen)
    return (failure, address, try #require(told))
  }

  @Test func `a key that is not on the list is refused, and told so`() throws {
    let found = try failures(server(), client(.generate(), server: serverKeys.publicKey))
    #expect(found.server == .keyRefused)
    // A socket that is already closed again has no address any more.
    #expect(found.address ?? "127.0.0.1" == "127.0.0.1")
    #expect(found.client == .keyRefused)
  }

  @Test func `a server with another key than expected is not spoken to`() throws {
    let found = try failures(server(), client(clientKeys, server: KeyPair.generate().publicKey))
    #expect(found.server == .wrongKey)
    guard case .hungUp = found.client else {
      Issue.record("\(found.client)")
      return
    }
  }

  @Test func `without a key nobody comes in`() throws {
    let found = try failures(server(), network.client())
    #expect(found.server == .securityMismatch)
    #expect(found.client == .securityMismatch)
  }

  @Test func `who has a key does not speak to a server without one`() throws {
    let found = try failures(
      network.server(.tcp), client(clientKeys, server: serverKeys.publicKey))
    #expect(found.server == .securityMismatch)
    #expect(found.client == .securityMismatch)
  }

  @Test func `those who share a key pair listen and dial with it, and nobody else`() throws {
    let shared = HubSecurity.shared(try .generate())
    let first = try Hub(context: network.context, listen: "tcp://127.0.0.1:0", security: shared)
    let second = try Hub(context: network.context, listen: nil, security: shared)
    let link = try second.dial(#require(first.boundEndpoint))
    var isUp = false
    try pump([first, second], events: { if $1 == .connected(link) { isUp = true } }) { isUp }
    let dialing = HubSecurity.Dialing(
      keys: clientKeys, peer: try #require(shared.dialing).keys.publicKey)
    let stranger = try Hub(
      context: network.context, listen: nil, security: HubSecurity(dialing: dialing))
    #expect(try failures(first, stranger).client == .keyRefused)
  }

  @Test func `one hub dials two servers with a key for each`() throws {
    let first = try server()
    let shared = HubSecurity.shared(try .generate())
    let second = try Hub(context: network.context, listen: "tcp://127.0.0.1:0", security: shared)
    let client = try Hub(context: network.context, listen: nil, security: shared)
    let links = [
      try client.dial(
        #require(first.boundEndpoint),
        with: .init(keys: clientKeys, peer: serverKeys.publicKey)),
      try client.dial(#require(second.boundEndpoint)),
    ]
    var up: Set<Hub.Link> = []
    try pump(
      [first, second, client], events: { if case .connected(let link) = $1 { up.insert(link) } }
    ) { up == Set(links) }
  }
}

@Suite struct KeyPairTests {
  @Test func `the secret half gives the pair back`() throws {
    let pair = try KeyPair.generate()
    #expect(pair.secretHex.count == 64)
    #expect(KeyPair(secretHex: pair.secretHex)?.publicKey == pair.publicKey)
    #expect(PublicKey(hex: "\(pair.publicKey)") == pair.publicKey)
  }

  @Test func `no description and no dump shows the secret half`() throws {
    let pair = try KeyPair.generate()
    var dumped = ""
    dump(HubSecurity.Dialing(keys: pair, peer: pair.publicKey), to: &dumped)
    let secret = pair.secret.map { "\($0)" }.joined(separator: ", ")
    for text in ["\(pair)", String(reflecting: pair), dumped] {
      #expect(!text.contains(pair.secretHex))
      #expect(!text.contains(secret))
    }
  }

  @Test(arguments: ["", "00", "zz", String(repeating: "0", count: 63), "é"])
  func `what is no key is refused`(text: String) {
    #expect(KeyPair(secretHex: text) == nil)
    #expect(PublicKey(hex: text) == nil)
  }
}
