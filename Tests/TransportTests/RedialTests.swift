import Glibc
import Tensors
import Testing

@testable import Transport

/// Connections that break while one of the two ends does not notice.
@Suite(.timeLimit(.minutes(30))) struct RedialTests {
  /// A server, a client whose connection goes by a relay and has carried a message, and its link.
  private struct Pair {
    let server: Hub
    let client: Hub
    let relay: Relay
    let link: Hub.Link
    /// How often the connection has come up.
    var ups = 0
    /// How often it has broken, as far as the client has noticed.
    var downs = 0
    /// What the server has heard, and by which link.
    var heard: [(link: Hub.Link, text: String)] = []
    var closed: [Hub.Link] = []

    init(_ options: HubOptions = HubOptions(), isControl: Bool = false) throws {
      let network = try Network()
      server = try network.server(.tcp, options: options)
      client = try network.client(options: options)
      relay = try Relay(to: try #require(server.boundEndpoint))
      link = try client.dial(relay.endpoint, isControl: isControl)
      #expect(client.send([text("before")], to: link))
      try work(on: [server, client]) { pair in pair.heard.map(\.text) == ["before"] }
    }

    /// Lets only these hubs work.
    mutating func work(on hubs: [Hub], until condition: (Pair) throws -> Bool) throws {
      var (ups, downs, heard, closed) = (self.ups, self.downs, self.heard, self.closed)
      defer { (self.ups, self.downs, self.heard, self.closed) = (ups, downs, heard, closed) }
      var copy = self
      try pump(
        hubs,
        events: { _, event in
          if case .connected = event { ups += 1 }
          if case .disconnected = event { downs += 1 }
          if case .peerClosed(let link) = event { closed.append(link) }
        },
        messages: { _, link, parts in heard.append((link, text(parts[0]))) }
      ) {
        relay.step()
        (copy.ups, copy.downs, copy.heard, copy.closed) = (ups, downs, heard, closed)
        return try condition(copy)
      }
    }
  }

  @Test func `what is said after one end of a connection was reset arrives`() throws {
    var pair = try Pair()
    pair.relay.cut(bothEnds: false)
    // The server still has the old connection.
    try pair.work(on: [pair.server, pair.client]) { $0.ups == 2 }
    #expect(pair.closed.isEmpty)
    #expect(pair.client.send([text("after")], to: pair.link))
    try pair.work(on: [pair.server, pair.client]) { $0.heard.map(\.text) == ["before", "after"] }
    try expectAnswers(&pair)
  }

  @Test func `what is said after a reset arrives at one who looked away meanwhile`() throws {
    var pair = try Pair()
    pair.relay.cut(bothEnds: true)
    try pair.work(on: [pair.client]) { $0.ups == 2 }
    #expect(pair.client.send([text("after")], to: pair.link))
    try pair.work(on: [pair.server, pair.client]) { $0.heard.map(\.text) == ["before", "after"] }
    try pair.work(on: [pair.server, pair.client]) { $0.closed == [$0.heard[0].link] }
    try expectAnswers(&pair)
  }

  /// The other way too, and both links are known to be one hub's.
  private func expectAnswers(_ pair: inout Pair) throws {
    let (first, last) = (pair.heard[0].link, try #require(pair.heard.last).link)
    #expect(first != last)
    #expect(Hub.haveSameDialer(first, last))
    #expect(pair.server.send([text("answer")], to: last))
    try pair.work(on: [pair.server, pair.client]) { $0.heard.last?.text == "answer" }
    #expect(pair.heard.last?.link == pair.link)
  }

  @Test func `a handshake that was lost half-way does not keep the next one from being heard`()
    throws
  {
    let network = try Network()
    let server = try network.server(.tcp)
    let relay = try Relay(to: try #require(server.boundEndpoint))
    // The server's greeting, and not what completes the handshake: it knows the client, which does
    // not know that.
    relay.allowanceBack = 64
    let client = try network.client()
    let link = try client.dial(relay.endpoint)
    var isUp = false
    var heard = ""
    func work(until condition: () -> Bool) throws {
      try pump(
        [server, client],
        events: { index, event in if index == 1, event == .connected(link) { isUp = true } },
        messages: { _, _, parts in heard = text(parts[0]) }
      ) {
        relay.step()
        return condition()
      }
    }
    try work { relay.allowanceBack == 0 }
    relay.cut(bothEnds: false)
    relay.allowanceBack = .max
    try work { isUp }
    #expect(client.send([text("here")], to: link))
    try work { heard == "here" }
  }

  @Test func `where what is said is not taken, another connection is made, if messages are small`()
    throws
  {
    var options = HubOptions()
    options.controlUnacknowledgedMilliseconds = 300
    var pair = try Pair(options, isControl: true)
    // More than the relay's system holds, which takes no byte more then.
    pair.relay.allowance = 0
    let bulk = [integers(500_000)]
    try pair.work(on: [pair.client]) { pair in
      if pair.client.queuedBytes < 8_000_000 { #expect(pair.client.send(bulk, to: pair.link)) }
      return pair.downs == 1
    }
    pair.client.dropQueue(of: pair.link)
    pair.relay.allowance = .max
    #expect(pair.client.send([text("after")], to: pair.link))
    try pair.work(on: [pair.server, pair.client]) { $0.heard.last?.text == "after" }
  }

  @Test func `a queue moves to another link in its order`() throws {
    let network = try Network()
    let server = try network.server(.tcp)
    let client = try network.client()
    let dead = try client.dial("tcp://127.0.0.1:1")
    for number in 0..<10 { #expect(client.send([text("\(number)")], to: dead)) }
    #expect(client.queuedBytes(to: dead) == 10)
    let link = try client.dial(try #require(server.boundEndpoint))
    client.moveQueue(from: dead, to: link)
    #expect(client.queuedBytes(to: dead) == 0 && client.queuedBytes == 10)
    var heard = ""
    try pump([server, client], messages: { _, _, parts in heard += text(parts[0]) }) {
      heard == "0123456789"
    }
  }
}
