import Glibc
import Tensors
import Testing

@testable import Transport

@Suite(.timeLimit(.minutes(30))) struct HubConnectionTests {
  @Test(arguments: [Scheme.ipc, .tcp])
  func `a peer's death and return are told`(scheme: Scheme) throws {
    let network = try Network()
    let first = try network.server(scheme)
    let endpoint = try #require(first.boundEndpoint)
    let client = try network.client()
    let link = try client.dial(endpoint)
    var events: [Hub.Event] = []
    try pump([first, client], events: { events.append(contentsOf: $0 == 1 ? [$1] : []) }) {
      events == [.connected(link)]
    }
    first.close(lingerMilliseconds: 0)
    try pump([client], events: { events.append($1) }) { events.contains(.disconnected(link)) }
    try pump([client], events: { events.append($1) }) { events.contains(.connectFailed(link)) }
    // A message for the time after.
    #expect(client.send([text("still here")], to: link))
    let second = try Hub(context: network.context, listen: endpoint)
    var heard = ""
    try pump(
      [second, client], events: { events.append(contentsOf: $0 == 1 ? [$1] : []) },
      messages: { _, _, parts in heard = text(parts[0]) }, until: { heard == "still here" })
    try pump([client], events: { events.append($1) }) { events.last == .connected(link) }
    #expect(events.filter { $0 == .disconnected(link) }.count == 1)
  }

  @Test func `a frame that crawls is not taken for a death`() throws {
    let network = try Network()
    let server = try network.server(.tcp)
    let client = try network.client()
    let relay = try Relay(to: try #require(server.boundEndpoint))
    let link = try client.dial(relay.endpoint)
    var events: [Hub.Event] = []
    var heard: [Int] = []
    func work(until condition: () -> Bool) throws {
      try pump(
        [server, client], events: { events.append(contentsOf: $0 == 1 ? [$1] : []) },
        messages: { _, _, parts in heard.append(parts[0].byteCount) }
      ) {
        relay.step()
        return condition()
      }
    }
    try work { events.contains(.connected(link)) }
    // Half of it comes, and then nothing for as long as it takes.
    relay.allowance = 500_000
    #expect(client.send([integers(250_000)], to: link))
    try work { relay.allowance <= 0 }
    let end = MonotonicClock.milliseconds() + 1_000
    try work { MonotonicClock.milliseconds() > end }
    #expect(heard.isEmpty)
    relay.allowance = .max
    try work { heard == [1_000_000] }
    #expect(events == [.connected(link)])
  }

  /// With a high-water mark libzmq would abort here (zeromq/libzmq#4364): so would a server that was
  /// stopped for a while, if its members pinged it.
  @Test func `who pings and goes while much is unread ends no process`() throws {
    let network = try Network()
    let server = try network.server(.tcp)
    let pinging = try RawClient(of: try #require(server.boundEndpoint))
    try pinging.shakeHands()
    let message: [UInt8] = [0, 8] + Array("nonsense".utf8)
    let ping: [UInt8] = [4, 7, 4] + Array("PING".utf8) + [0, 0]
    for _ in 0..<100 { pinging.send(repeatElement(message, count: 10).joined() + ping) }
    pinging.close()
    var count = 0
    var isGone = false
    try pump(
      [server], events: { _, event in if case .peerClosed = event { isGone = true } },
      // What it had not sent when it went, its system has dropped: answers to pings were unread there.
      messages: { _, _, _ in count += 1 }, until: { count > 0 && isGone })
    let client = try network.client()
    #expect(client.send([text("still here")], to: try client.dial(#require(server.boundEndpoint))))
    var heard = ""
    try pump(
      [server, client], messages: { _, _, parts in heard = text(parts[0]) },
      until: { heard == "still here" })
  }

  @Test func `whose messages are refused again and again is cut off`() throws {
    let network = try Network()
    let server = try network.server(.tcp)
    let flooding = try RawClient(of: try #require(server.boundEndpoint))
    try flooding.shakeHands()
    let message: [UInt8] = [0, 1, 1]
    flooding.send(Array(repeatElement(message, count: 400).joined()))
    var links: Set<Hub.Link> = []
    var count = 0
    var isGone = false
    try pump(
      [server], events: { _, event in if case .peerClosed = event { isGone = true } },
      messages: { _, link, _ in
        links.insert(link)
        count += 1
        try? server.noteRefused(link)
      }, until: { isGone })
    #expect(links.count == 1 && count == Listener.mostRefused)
    // It has not closed its end.
    #expect(flooding.isCutOff)
    flooding.close()
  }

  @Test(arguments: [Scheme.ipc, .tcp])
  func `the death of a peer that dialed is told by name`(scheme: Scheme) throws {
    let network = try Network()
    let server = try network.server(scheme)
    let (dying, living) = (try network.client(), try network.client())
    for (client, name) in [(dying, "dying"), (living, "living")] {
      let link = try client.dial(#require(server.boundEndpoint))
      #expect(client.send([text(name)], to: link))
    }
    var peers: [String: Hub.Link] = [:]
    try pump(
      [server, dying, living], messages: { _, link, parts in peers[text(parts[0])] = link },
      until: { peers.count == 2 })
    dying.close(lingerMilliseconds: 0)
    var events: [Hub.Event] = []
    try pump([server], events: { events.append($1) }) { !events.isEmpty }
    #expect(events == [.peerClosed(try #require(peers["dying"]))])
    try pump([server]) { !server.send([text("?")], to: peers["dying"] ?? .dialed(0)) }
    #expect(server.send([text("?")], to: try #require(peers["living"])))
  }

  @Test func `a peer that speaks once and goes is told, whichever is seen first`() throws {
    let network = try Network()
    let server = try network.server(.tcp)
    var spoken: [Hub.Link] = []
    var closed: [Hub.Link] = []
    // The connections have the same descriptor, one after the other.
    for round in 1...40 {
      let client = try network.client()
      let link = try client.dial(#require(server.boundEndpoint))
      #expect(client.send([text("hello")], to: link))
      try pump([client]) { client.queuedBytes == 0 }
      client.close(lingerMilliseconds: 60_000)
      try pump(
        [server], events: { if case .peerClosed(let peer) = $1 { closed.append(peer) } },
        messages: { _, peer, _ in spoken.append(peer) }, until: { closed.count == round })
      #expect(closed.last == spoken.last)
    }
    #expect(spoken.count == 40)
  }

  @Test func `hanging up a dialed link ends it`() throws {
    let (server, client, link) = try Network().pair(.tcp)
    #expect(client.send([text("last words")], to: link))
    client.hangUp(link)
    client.hangUp(link)
    #expect(!client.send([text("?")], to: link))
    // What ZeroMQ had of it still leaves.
    var heard = ""
    var closed = false
    try pump(
      [server, client], events: { _, event in if case .peerClosed = event { closed = true } },
      messages: { _, _, parts in heard = text(parts[0]) }, until: { closed })
    #expect(heard == "last words")
  }

  @Test func `a peer hung up on is not heard any more`() throws {
    let (server, client, link) = try Network().pair(.tcp)
    #expect(client.send([text("hello")], to: link))
    var peer: Hub.Link?
    try pump([server, client], messages: { _, sender, _ in peer = sender }) { peer != nil }
    server.hangUp(try #require(peer))
    #expect(!server.send([text("?")], to: try #require(peer)))
    #expect(client.send([text("hello?")], to: link))
    var heard = 0
    try pump([server, client], messages: { _, _, _ in heard += 1 }) { server.droppedMessages == 1 }
    #expect(heard == 0)
  }

  @Test(arguments: [
    Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8), Array("SSH-2.0-OpenSSH_9.2\r\n".utf8),
    [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03], [0], [0xff],
    // The greetings of ZMTP 1 and 2, and of ZMTP 3 with an unknown mechanism.
    [0x01, 0x00], [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 1, 5, 0, 0],
    [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0] + Array(repeating: 0x41, count: 52),
    // A good greeting, then a part of 2^62 bytes.
    [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0] + Array("NULL".utf8)
      + Array(repeating: 0, count: 48) + [0x02, 0x40, 0, 0, 0, 0, 0, 0, 0],
    (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ 7) },
  ])
  func `somebody who talks nonsense disturbs nobody`(bytes: [UInt8]) throws {
    let (server, client, link) = try Network().pair(.tcp)
    let port = try #require(server.boundEndpoint?.split(separator: ":").last)
    let descriptors = try (0..<4).map { _ in try connectToLoopback(#require(UInt16(port))) }
    for descriptor in descriptors { _ = Glibc.send(descriptor, bytes, bytes.count, 0) }
    var heard = 0
    let frame = integers(10_000)
    for _ in 0..<20 { #expect(client.send([frame], to: link)) }
    try pump([server, client], messages: { _, _, _ in heard += 1 }) { heard == 20 }
    for descriptor in descriptors { Glibc.close(descriptor) }
    for _ in 0..<20 { #expect(client.send([frame], to: link)) }
    try pump([server, client], messages: { _, _, _ in heard += 1 }) { heard == 40 }
    #expect(server.droppedMessages == 0)
  }

  @Test func `connections that one hub has dialed are seen to belong together`() throws {
    let network = try Network()
    let server = try network.server(.tcp)
    let endpoint = try #require(server.boundEndpoint)
    let (one, other) = (try network.client(), try network.client())
    for (hub, name) in [(one, "first"), (one, "second"), (other, "third")] {
      #expect(hub.send([text(name)], to: try hub.dial(endpoint)))
    }
    var links: [String: Hub.Link] = [:]
    try pump([server, one, other], messages: { _, link, parts in links[text(parts[0])] = link }) {
      links.count == 3
    }
    let (first, second) = (try #require(links["first"]), try #require(links["second"]))
    let third = try #require(links["third"])
    #expect(first != second && Hub.haveSameDialer(first, second))
    #expect(!Hub.haveSameDialer(first, third) && !Hub.haveSameDialer(second, third))
    #expect(!Hub.haveSameDialer(.accepted([1, 2]), .accepted([1, 3])))
    #expect(!Hub.haveSameDialer(.dialed(1), .dialed(1)))
    #expect(server.address(first) == "127.0.0.1")
    #expect(server.address(.accepted([1, 2])) == nil && server.address(.dialed(1)) == nil)
  }

  @Test func `a failed handshake is told`() throws {
    let server = try Network().server(.tcp)
    let port = try #require(server.boundEndpoint?.split(separator: ":").last)
    let descriptor = try connectToLoopback(#require(UInt16(port)))
    let greeting: [UInt8] =
      [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0] + Array(repeating: 0x41, count: 52)
    _ = Glibc.send(descriptor, greeting, greeting.count, 0)
    Glibc.shutdown(descriptor, Int32(SHUT_WR))
    var isTold = false
    try pump(
      [server],
      events: { _, event in if case .strangerRefused = event { isTold = true } },
      until: { isTold })
    Glibc.close(descriptor)
  }

  @Test func `a part that is too large costs the sender its connection`() throws {
    var options = HubOptions()
    options.largestPartBytes = 10_000
    let network = try Network()
    let server = try network.server(.tcp, options: options)
    let client = try network.client()
    let link = try client.dial(#require(server.boundEndpoint))
    #expect(client.send([integers(2_500)], to: link))
    var heard = 0
    try pump([server, client], messages: { _, _, _ in heard += 1 }) { heard == 1 }
    #expect(client.send([integers(2_501)], to: link))
    var events: [Hub.Event] = []
    try pump([server, client], events: { events.append(contentsOf: $0 == 1 ? [$1] : []) }) {
      events.contains(.disconnected(link)) && events.last == .connected(link)
    }
    #expect(client.send([integers(2_500)], to: link))
    try pump([server, client], messages: { _, _, _ in heard += 1 }) { heard == 2 }
  }

  @Test func `a dialed port nobody listens on is told and tried again`() throws {
    let network = try Network()
    let server = try network.server(.tcp)
    let endpoint = try #require(server.boundEndpoint)
    server.close(lingerMilliseconds: 0)
    let client = try network.client()
    let link = try client.dial(endpoint)
    var failures = 0
    try pump([client], events: { if $1 == .connectFailed(link) { failures += 1 } }) {
      failures >= 2
    }
  }

  private func connectToLoopback(_ port: UInt16) throws -> Int32 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(result == 0)
    return descriptor
  }
}
