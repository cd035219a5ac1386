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
      var (ups, heard, closed) = (self.ups, self.heard, self.closed)
      defer { (self.ups, self.heard, self.closed) = (ups, heard, closed) }
      var copy = self
      try pump(
        hubs,
        events: { _, event in
          if case .connected = event { ups += 1 }
          if case .peerClosed(let link) = event { closed.append(link) }
        },
        messages: { _, link, parts in heard.append((link, text(parts[0]))) }
      ) {
        relay.step()
        (copy.ups, copy.heard, copy.closed) = (ups, heard, closed)
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

  @Test func `who dials does not have the other end watch the clock for it`() throws {
    var options = HubOptions()
    options.heartbeatMilliseconds = 20
    options.controlSilenceMilliseconds = 200
    var pair = try Pair(options, isControl: true)
    // Some pings, and then neither end hears anything any more, as if both processes were stopped.
    let pings = MonotonicClock.milliseconds() + 200
    try pair.work(on: [pair.server, pair.client]) { _ in MonotonicClock.milliseconds() > pings }
    let end = MonotonicClock.milliseconds() + 1_000
    while MonotonicClock.milliseconds() < end {
      _ = try pair.server.wait(milliseconds: 10, wakeUp: nil)
      #expect(pair.server.takeEvents().isEmpty)
    }
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
