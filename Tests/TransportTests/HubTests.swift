import Glibc
import Synchronization
import Tensors
import Testing

@testable import Transport

@Suite(.timeLimit(.minutes(30))) struct HubTests {
  @Test(arguments: Scheme.allCases)
  func `large messages arrive unchanged, and so do the answers`(scheme: Scheme) throws {
    let (server, client, link) = try Network().pair(scheme)
    // Below and above what is copied, what ZeroMQ reads in one piece, and 4 MiB.
    let counts = [0, 1, 63, 64, 65, 1000, 2048, 3001, 100_003, 1 << 20]
    let sent = counts.map { integers($0, from: Int32($0)) }
    #expect(client.send(sent, to: link))
    var answer: [Frame] = []
    try pump(
      [server, client],
      messages: { hub, sender, parts in
        if hub == 0 { #expect(server.send(parts, to: sender)) } else { answer = parts }
      }, until: { !answer.isEmpty })
    #expect(answer.map(\.byteCount) == counts.map { 4 * $0 })
    for (ours, theirs) in zip(answer, sent) {
      #expect(ours.bytes.elementsEqual(theirs.bytes))
      #expect(Int(bitPattern: ours.bytes.baseAddress) % 8 == 0)
    }
    let bytes = UInt64(4 * counts.reduce(0, +))
    #expect(client.bytesSent == bytes)
    #expect(client.bytesReceived == bytes)
    #expect(server.bytesReceived == bytes)
    #expect(server.bytesSent == bytes)
  }

  @Test(arguments: Scheme.allCases)
  func `a sent frame's memory is given back once`(scheme: Scheme) throws {
    let (server, client, link) = try Network().pair(scheme)
    let releases = Released()
    for _ in 0..<3 { #expect(client.send([releases.frame(byteCount: 1 << 16)], to: link)) }
    var received = 0
    try pump([server, client], messages: { _, _, _ in received += 1 }, until: { received == 3 })
    // ZeroMQ lets go on its own thread, at its own time.
    try pump([server, client]) { releases.count.load(ordering: .acquiring) == 3 }
    #expect(releases.count.load(ordering: .acquiring) == 3)
  }

  @Test func `on inproc the receiver reads the sender's memory`() throws {
    let (server, client, link) = try Network().pair(.inproc)
    let releases = Released()
    var frame: Frame? = releases.frame(byteCount: 1 << 16)
    let address = frame?.bytes.baseAddress
    #expect(client.send([try #require(frame)], to: link))
    frame = nil
    var received: [Frame] = []
    try pump([server], messages: { _, _, parts in received = parts }) { !received.isEmpty }
    #expect(received.first?.bytes.baseAddress == address)
    #expect(releases.count.load(ordering: .acquiring) == 0)
    received = []
    #expect(releases.count.load(ordering: .acquiring) == 1)
  }

  @Test(arguments: Scheme.allCases)
  func `each of many peers gets its own answers in order`(scheme: Scheme) throws {
    let network = try Network()
    let server = try network.server(scheme)
    let clients = try (0..<20).map { _ in try network.client() }
    let links = try clients.map { try $0.dial(#require(server.boundEndpoint)) }
    let rounds = 50
    for round in 0..<rounds {
      for (index, client) in clients.enumerated() {
        #expect(client.send([text("client \(index) round \(round)")], to: links[index]))
      }
    }
    var answers = Array(repeating: [String](), count: clients.count)
    var senders: Set<Hub.Link> = []
    try pump(
      [server] + clients,
      messages: { hub, sender, parts in
        guard hub == 0 else { return answers[hub - 1].append(text(parts[0])) }
        senders.insert(sender)
        #expect(server.send(parts, to: sender))
      }, until: { answers.allSatisfy { $0.count == rounds } })
    #expect(senders.count == clients.count)
    for (index, answers) in answers.enumerated() {
      #expect(answers == (0..<rounds).map { "client \(index) round \($0)" })
    }
  }

  @Test func `a hub listens and dials at the same time`() throws {
    let network = try Network()
    let first = try network.server(.tcp)
    let second = try network.server(.ipc)
    let there = try first.dial(#require(second.boundEndpoint))
    let back = try second.dial(#require(first.boundEndpoint))
    #expect(first.send([text("to second")], to: there))
    #expect(second.send([text("to first")], to: back))
    var heard: [Int: String] = [:]
    try pump(
      [first, second], messages: { hub, _, parts in heard[hub] = text(parts[0]) },
      until: { heard.count == 2 })
    #expect(heard == [0: "to first", 1: "to second"])
  }

  @Test func `no peer starves another`() throws {
    let network = try Network()
    let server = try network.server(.inproc)
    let loud = try network.client()
    let quiet = try network.client()
    let loudLink = try loud.dial(#require(server.boundEndpoint))
    let quietLink = try quiet.dial(#require(server.boundEndpoint))
    for _ in 0..<100 { #expect(loud.send([text("loud")], to: loudLink)) }
    #expect(quiet.send([text("quiet")], to: quietLink))
    var before = 0
    while let (_, parts) = try server.receive(), text(parts[0]) == "loud" { before += 1 }
    #expect(before <= 2)
  }

  @Test func `a message to nobody is refused`() throws {
    let (server, client, link) = try Network().pair(.tcp)
    #expect(!server.send([text("?")], to: .accepted(Array("nobody".utf8))))
    #expect(!server.send([text("?")], to: .dialed(1)))
    #expect(!client.send([text("?")], to: .dialed(2)))
    #expect(!client.send([text("?")], to: .accepted([1])))
    #expect(client.send([text("!")], to: link))
  }

  @Test func `a message of too many parts is dropped and counted`() throws {
    var options = HubOptions()
    options.mostParts = 4
    let network = try Network()
    let server = try network.server(.tcp, options: options)
    let client = try network.client()
    let link = try client.dial(#require(server.boundEndpoint))
    #expect(client.send(Array(repeating: text("x"), count: 5), to: link))
    #expect(client.send(Array(repeating: text("x"), count: 20_000), to: link))
    #expect(client.send(Array(repeating: text("x"), count: 4), to: link))
    var counts: [Int] = []
    var events: [Hub.Event] = []
    try pump(
      [server, client], events: { _, event in events.append(event) },
      messages: { _, _, parts in counts.append(parts.count) }
    ) {
      !counts.isEmpty
    }
    events += server.takeEvents()
    #expect(counts == [4])
    let told = events.count { if case .tooManyParts(.accepted) = $0 { true } else { false } }
    #expect(told == 2)
    #expect(server.droppedMessages == 2)
    #expect(server.bytesReceived == 20_009)
  }

  @Test func `a hub off its thread traps`() async {
    #if DEBUG
      await #expect(processExitsWith: .failure) {
        nonisolated(unsafe) let hub = try Hub(context: Context(), listen: nil)
        let thread = try OwnedThread(name: "elsewhere") { _ = hub.takeEvents() }
        thread.join()
      }
    #endif
  }
}

/// Frames whose release is counted.
final class Released: Sendable {
  let count = Atomic(0)

  func frame(byteCount: Int) -> Frame {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
    _ = memory.initializeMemory(as: UInt8.self, repeating: 7)
    nonisolated(unsafe) let owned = memory
    return Frame(adopting: UnsafeRawBufferPointer(memory)) { [self] in
      owned.deallocate()
      count.add(1, ordering: .acquiringAndReleasing)
    }
  }
}
