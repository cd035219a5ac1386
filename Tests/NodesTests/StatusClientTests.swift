import Messages
import Observability
import Tensors
import Testing
import Transport
import Wire

@testable import Nodes

@Suite(.timeLimit(.minutes(30))) struct StatusClientTests {
  /// Answers once it is told to, the number of questions so far being the step, and from then on.
  ///
  /// - Parameters:
  ///   - listening: is told the address.
  ///   - orders: true to answer, false to end.
  private static func answer(
    _ listening: Mailbox<String>, _ orders: Mailbox<Bool>, _ links: Mailbox<Hub.Link>
  ) throws {
    let context = try Context()
    defer { context.terminate() }
    let hub = try Hub(context: context, listen: "tcp://127.0.0.1:0")
    defer { hub.close(lingerMilliseconds: 0) }
    listening.post(hub.boundEndpoint ?? "")
    let identity = Header(run: 1, view: 0, sender: .server, incarnation: 1)
    var questions: [Hub.Link] = []
    var answered = 0
    var isAwake = false
    while true {
      _ = try hub.wait(milliseconds: 1000, wakeUp: orders.wakeUp)
      for order in orders.drain() {
        guard order else { return }
        isAwake = true
      }
      while let (link, _) = try hub.receive() {
        questions.append(link)
        links.post(link)
      }
      while isAwake, answered < questions.count {
        var record = StatusRecord(run: 1, name: "late")
        record.step = UInt64(questions.count)
        let message = Message(identity, .statusReply, frames: Frame.cut(record.json()))
        _ = hub.send(try WireCodec.encode(message), to: questions[answered])
        answered += 1
      }
    }
  }

  @Test func `a server that was stopped has one question to answer, and no late answers to give`()
    throws
  {
    let listening = try Mailbox<String>()
    let orders = try Mailbox<Bool>()
    let links = try Mailbox<Hub.Link>()
    let server = try OwnedThread(name: "late") { try? Self.answer(listening, orders, links) }
    defer {
      orders.post(false)
      server.join()
    }
    var endpoint: String?
    while endpoint == nil { endpoint = listening.take(milliseconds: 1000) }
    let context = try Context()
    defer { context.terminate() }
    let client = try StatusClient(context: context, endpoint: try #require(endpoint))
    defer { client.close() }
    var first: Hub.Link?
    while first == nil {
      #expect(throws: NodeError.self) { try client.status(timeoutMilliseconds: 2000) }
      first = links.take(milliseconds: 10)
    }
    for _ in 0..<5 {
      #expect(throws: NodeError.self) { try client.status(timeoutMilliseconds: 50) }
    }
    #expect(links.drain().isEmpty)
    orders.post(true)
    for step in 1...3 as ClosedRange<UInt64> {
      #expect(try client.status(timeoutMilliseconds: 60_000).step == step)
    }
    #expect(links.drain() == [first, first])
  }

  @Test func `another question is not asked where a status is still to come`() throws {
    let listening = try Mailbox<String>()
    let orders = try Mailbox<Bool>()
    let links = try Mailbox<Hub.Link>()
    let server = try OwnedThread(name: "late") { try? Self.answer(listening, orders, links) }
    defer {
      orders.post(false)
      server.join()
    }
    var endpoint: String?
    while endpoint == nil { endpoint = listening.take(milliseconds: 1000) }
    let context = try Context()
    defer { context.terminate() }
    let client = try StatusClient(context: context, endpoint: try #require(endpoint))
    defer { client.close() }
    var seen: [Hub.Link] = []
    while seen.isEmpty {
      #expect(throws: NodeError.self) { try client.status(timeoutMilliseconds: 2000) }
      seen += links.drain()
    }
    while seen.count < 2 {
      #expect(throws: NodeError.self) {
        try client.command(.checkpointNow, timeoutMilliseconds: 200)
      }
      seen += links.drain()
    }
    #expect(seen[0] != seen[1])
  }
}
