import Glibc
import Tensors
import Testing

@testable import Transport

@Suite(.timeLimit(.minutes(30))) struct HubQueueTests {
  /// Few messages fit ZeroMQ's own queue, so that the hub's has to take over.
  private static let tight: HubOptions = {
    var options = HubOptions()
    options.highWaterMark = 4
    options.unreadMessages = 4
    return options
  }()

  private let size = 100_000
  private let bulk = integers(25_000)
  private let count = 300

  @Test(arguments: Scheme.allCases)
  func `nothing is lost or reordered while the peer does not read`(scheme: Scheme) throws {
    let (server, client, link) = try Network().pair(scheme, options: Self.tight)
    for index in 0..<count {
      #expect(client.send([integers(1, from: Int32(index)), bulk], to: link))
    }
    #expect(client.queuedBytes > count * size / 2)
    var heard: [Int32] = []
    try pump([server, client], messages: { _, _, parts in heard.append(parts[0].int32s[0]) }) {
      heard.count == count
    }
    #expect(heard == (0..<Int32(count)).map { $0 })
    #expect(client.queuedBytes == 0)
    #expect(client.bytesSent == UInt64(count * (size + 4)))
  }

  @Test(arguments: Scheme.allCases)
  func `a queue that is dropped leaves its link as it was`(scheme: Scheme) throws {
    let (server, client, link) = try Network().pair(scheme, options: Self.tight)
    #expect(client.send([text("hello")], to: link))
    var peer: Hub.Link?
    try pump([server, client], messages: { _, sender, _ in peer = sender }) { peer != nil }
    for (sender, receiver, link) in [
      (server, client, try #require(peer)), (client, server, link),
    ] {
      for index in 0..<count {
        #expect(sender.send([integers(1, from: Int32(index)), bulk], to: link))
      }
      #expect(sender.queuedBytes(to: link) > count * size / 2)
      sender.dropQueue(of: link)
      #expect(sender.queuedBytes == 0)
      #expect(sender.send([integers(1, from: -1)], to: link))
      var heard: [Int32] = []
      try pump([receiver, sender], messages: { _, _, parts in heard.append(parts[0].int32s[0]) }) {
        heard.last == -1
      }
      // What ZeroMQ had of it, in order, and what came after.
      #expect(heard.count > 1 && heard.count < count)
      #expect(heard.dropLast() == (0..<Int32(heard.count - 1)).map { $0 }[...])
    }
  }

  @Test(arguments: Scheme.allCases)
  func `answers to a peer that does not read wait, others pass them`(scheme: Scheme) throws {
    let network = try Network()
    let server = try network.server(scheme, options: Self.tight)
    let slow = try network.client(options: Self.tight)
    let quick = try network.client(options: Self.tight)
    let slowLink = try slow.dial(#require(server.boundEndpoint))
    let quickLink = try quick.dial(#require(server.boundEndpoint))
    #expect(slow.send([text("slow")], to: slowLink))
    #expect(quick.send([text("quick")], to: quickLink))
    var peers: [String: Hub.Link] = [:]
    try pump(
      [server, slow, quick], messages: { _, link, parts in peers[text(parts[0])] = link },
      until: { peers.count == 2 })
    for index in 0..<count {
      let frames = [integers(1, from: Int32(index)), bulk]
      #expect(server.send(frames, to: try #require(peers["slow"])))
    }
    #expect(server.queuedBytes > count * size / 2)
    #expect(server.send([text("hello")], to: try #require(peers["quick"])))
    var isGreeted = false
    try pump([server, quick], messages: { _, _, _ in isGreeted = true }, until: { isGreeted })
    var heard: [Int32] = []
    try pump([server, slow], messages: { _, _, parts in heard.append(parts[0].int32s[0]) }) {
      heard.count == count
    }
    #expect(heard == (0..<Int32(count)).map { $0 })
    #expect(server.queuedBytes == 0)
  }

  @Test(arguments: Scheme.allCases)
  func `a full queue refuses and holds no more than its bound`(scheme: Scheme) throws {
    var options = Self.tight
    options.queuedBytesPerLink = 10 * size
    let (server, client, link) = try Network().pair(scheme, options: options)
    var accepted = 0
    while client.send([bulk], to: link) { accepted += 1 }
    #expect(client.queuedBytes == 10 * size)
    #expect(!client.send([bulk], to: link))
    var heard = 0
    try pump([server, client], messages: { _, _, _ in heard += 1 }, until: { heard == accepted })
    #expect(client.send([bulk], to: link))
  }

  @Test func `what is sent before anybody listens arrives when somebody does`() throws {
    let network = try Network()
    let client = try network.client()
    let link = try client.dial(network.endpoint(.ipc))
    for index in Int32(0)..<10 { #expect(client.send([integers(1, from: index)], to: link)) }
    #expect(client.queuedBytes == 40)
    let server = try network.server(.ipc)
    var heard: [Int32] = []
    try pump([server, client], messages: { _, _, parts in heard.append(parts[0].int32s[0]) }) {
      heard.count == 10
    }
    #expect(heard == (0..<10).map { $0 })
  }

  @Test func `what is queued for a peer that goes is dropped`() throws {
    let network = try Network()
    let server = try network.server(.tcp, options: Self.tight)
    let client = try network.client(options: Self.tight)
    let link = try client.dial(#require(server.boundEndpoint))
    #expect(client.send([text("hello")], to: link))
    var peer: Hub.Link?
    try pump([server, client], messages: { _, sender, _ in peer = sender }) { peer != nil }
    for _ in 0..<count { #expect(server.send([bulk], to: try #require(peer))) }
    client.close(lingerMilliseconds: 0)
    try pump([server]) { server.queuedBytes == 0 }
    #expect(!server.send([text("?")], to: try #require(peer)))
  }

  @Test func `closing lets what is queued leave`() throws {
    let (server, client, link) = try Network().pair(.tcp, options: Self.tight)
    for _ in 0..<20 { #expect(client.send([bulk], to: link)) }
    // The reader works on a thread of its own while close blocks.
    var heard = 0
    try pump([server, client], messages: { _, _, _ in heard += 1 }) { client.queuedBytes == 0 }
    client.close(lingerMilliseconds: 60_000)
    try pump([server], messages: { _, _, _ in heard += 1 }, until: { heard == 20 })
  }
}
