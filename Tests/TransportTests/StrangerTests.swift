import Glibc
import Testing

@testable import Transport

/// What others may do to a hub that lets them in.
@Suite(.timeLimit(.minutes(10)))
struct StrangerTests {
  /// Of two bytes a part, which cost who reads them more than who sends them.
  @Test func `who sends messages of too many parts keeps nobody from being heard`() throws {
    var options = HubOptions()
    options.mostParts = 4
    let network = try Network()
    let server = try network.server(.tcp, options: options)
    let endpoint = try #require(server.boundEndpoint)
    let flooding = try RawClient(of: endpoint)
    try flooding.shakeHands()
    let message: [UInt8] = [1, 0, 1, 0, 1, 0, 1, 0, 0, 0]
    flooding.send(Array(repeatElement(message, count: 5_000).joined()))
    var count = 0
    var isGone = false
    let closing = try RawClient(of: endpoint, from: 2)
    try closing.shakeHands(as: "closing")
    closing.send([0, 1, 1])
    var closed: Set<Hub.Link> = []
    var heard: Hub.Link?
    try pump(
      [server],
      events: { _, event in
        switch event {
        case .tooManyParts(let link):
          count += 1
          try? server.noteRefused(link)
        case .peerClosed(let link):
          closed.insert(link)
          if link == .accepted(Array("stranger".utf8)) { isGone = true }
        default: break
        }
      },
      messages: { _, link, _ in
        heard = link
        closing.close()
      }, until: { isGone && heard.map(closed.contains) == true })
    #expect(heard == .accepted(Array("closing".utf8)))
    #expect((Listener.mostRefused...Listener.mostRefused + 64).contains(count), "\(count)")
    #expect(flooding.isCutOff)
    flooding.close()
  }

  @Test func `nobody reads more than a few refused messages at once`() throws {
    var options = HubOptions()
    options.mostParts = 4
    let network = try Network()
    let server = try network.server(.tcp, options: options)
    let flooding = try RawClient(of: try #require(server.boundEndpoint))
    try flooding.shakeHands()
    let message: [UInt8] = [1, 0, 1, 0, 1, 0, 1, 0, 0, 0]
    flooding.send(Array(repeatElement(message, count: 5_000).joined()))
    var most: UInt64 = 0
    while server.droppedMessages < 5_000 {
      _ = try server.wait(milliseconds: 1000, wakeUp: nil)
      let before = server.droppedMessages
      #expect(try server.receive() == nil)
      most = max(most, server.droppedMessages - before)
    }
    #expect((1...64).contains(most))
    flooding.close()
  }

  /// Events would be lost where too many came at once.
  @Test func `a connection that closes is told, however much else is`() throws {
    let server = try Network().server(.tcp)
    for number in 0..<5_000 as Range<UInt32> {
      server.note(.tooManyParts(.accepted([UInt8(number & 255)])))
    }
    server.note(.peerClosed(.accepted([1])))
    let events = server.takeEvents()
    #expect(events.count == 4_097)
    #expect(events.last == .peerClosed(.accepted([1])))
  }

  /// A descriptor is given to the next as soon as it is free: whose it is when a message is read need
  /// not be who has sent that.
  @Test func `a message comes from where it was sent, whoever has the descriptor by now`() throws {
    let server = try Network().server(.tcp)
    let endpoint = try #require(server.boundEndpoint)
    var found: [String: String] = [:]
    var closed: Set<Hub.Link> = []
    // ZeroMQ's thread closes a connection in a moment: the next has its descriptor, as a rule.
    for attempt in 0..<6 {
      let (gone, present) = ("gone \(attempt)", "present \(attempt)")
      let first = try RawClient(of: endpoint, from: 2)
      try first.shakeHands(as: gone)
      first.send([0, 1, 1])
      first.close()
      poll(nil, 0, 20)
      let second = try RawClient(of: endpoint, from: 3)
      try second.shakeHands(as: present)
      second.send([0, 1, 1])
      poll(nil, 0, 20)
      try pump(
        [server],
        events: { _, event in if case .peerClosed(let link) = event { closed.insert(link) } },
        messages: { _, link, _ in
          guard case .accepted(let name) = link else { return }
          found[String(decoding: name, as: UTF8.self)] = server.address(link)
        }, until: { found[gone] != nil && found[present] != nil && closed.contains(link(gone)) })
      #expect(found[gone] == "127.0.0.2" && found[present] == "127.0.0.3", "\(found)")
      #expect(!closed.contains(link(present)))
      second.close()
    }
  }

  /// What a peer says of itself is nobody's word but its own.
  @Test func `who calls himself a node is not called so where there are no keys`() throws {
    let server = try Network().server(.tcp)
    let stranger = try RawClient(of: try #require(server.boundEndpoint))
    try stranger.shakeHands()
    stranger.send([0, 1, 1])
    var isHeard = false
    try pump([server], messages: { _, _, _ in isHeard = true }, until: { isHeard })
    #expect(server.caller(link("stranger")) == nil)
    #expect(server.address(link("stranger")) == "127.0.0.1")
    stranger.close()
  }

  @Test func `a process at the other end of a socket's path has no address`() throws {
    let (server, client, link) = try Network().pair(.ipc)
    #expect(client.send([text("hello")], to: link))
    var sender: Hub.Link?
    try pump([server, client], messages: { _, link, _ in sender = link }, until: { sender != nil })
    #expect(server.address(try #require(sender)) == nil)
  }

  private func link(_ name: String) -> Hub.Link { .accepted(Array(name.utf8)) }
}
