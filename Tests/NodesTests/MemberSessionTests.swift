import Messages
import Observability
import Tensors
import Testing
import Transport
import Wire

@testable import Nodes

/// The socket thread of a member against a server made of its messages.
@Suite(.timeLimit(.minutes(30)))
struct MemberSessionTests {
  /// Runs a member on a thread of its own, until the body is over.
  private func withMember(
    _ context: Context, _ options: MemberOptions,
    _ body: (Mailbox<Result<Stop, NodeError>>) throws -> Void
  ) throws {
    let ends = try Mailbox<Result<Stop, NodeError>>()
    let orders = try Mailbox<String>()
    let thread = try OwnedThread(name: "member") {
      let result = Result {
        try MemberSession.runToEnd(
          context: context, options: options,
          log: Logger(descriptor: 2, name: "member", level: .error), orders: orders)
      }
      _ = ends.post(result.mapError { NodeError("\($0)") })
    }
    defer {
      _ = orders.post("the test is over")
      thread.join()
    }
    try body(ends)
  }

  private func text(_ text: String) -> Frame { Frame(copying: Array(text.utf8)) }

  @Test func `nobody speaks as the server to a member that the server is not at the other end of`()
    throws
  {
    let context = try Context()
    defer { context.terminate() }
    let hub = try Hub(context: context, listen: "inproc://server")
    let impostor = try Hub(context: context, listen: nil)
    defer { for hub in [hub, impostor] { hub.close(lingerMilliseconds: 0) } }
    var options = MemberOptions(role: .fc, server: "inproc://server")
    options.listen = "inproc://fc"
    try withMember(context, options) { ends in
      // By this the server itself would end it.
      let header = Header(run: 7, view: 0, sender: .server, incarnation: 9)
      func refusal(_ reason: String) throws -> [Frame] {
        let refusal = Refusal(reason: reason, mayJoinAgain: false)
        return try WireCodec.encode(Message(header, .refusal(refusal)))
      }
      // Nor what only it says, whatever name stands on it: it would take this one's run for its own.
      var other = header
      other.sender = NodeID(5)
      let welcome = Message(
        other, .welcome(Welcome(node: NodeID(3), rank: 0)), frames: [text(TinyRun.text)])
      let link = try impostor.dial("inproc://fc")
      #expect(impostor.send(try refusal("nonsense"), to: link))
      #expect(impostor.send(try WireCodec.encode(welcome), to: link))
      // What comes back shows that what was sent before has been read.
      #expect(try Probe(impostor, link, seconds: 120) != nil)
      var answered = false
      var joins = 0
      for _ in 0..<50 where !answered {
        _ = try hub.wait(milliseconds: 1000, wakeUp: nil)
        guard let (server, parts) = try hub.receive() else { continue }
        guard case .join = try WireCodec.decode(parts).body else { continue }
        joins += 1
        // It goes on asking: nothing that it has heard was a welcome.
        guard joins == 3 else { continue }
        answered = hub.send(try refusal("the true one"), to: server)
      }
      try #require(answered)
      let end = try #require(ends.take())
      guard case .failure(let error) = end else {
        Issue.record("\(end)")
        return
      }
      #expect(error.message.hasSuffix("the true one"), "\(error)")
    }
  }

  @Test func `one that the server sends nonsense leaves it and joins again as another`() throws {
    let context = try Context()
    defer { context.terminate() }
    let hub = try Hub(context: context, listen: "inproc://server")
    defer { hub.close(lingerMilliseconds: 0) }
    var options = MemberOptions(role: .fc, server: "inproc://server")
    options.listen = "inproc://fc"
    try withMember(context, options) { ends in
      let header = Header(run: 7, view: 0, sender: .server, incarnation: 9)
      let welcome = Message(
        header, .welcome(Welcome(node: NodeID(3), rank: 0)), frames: [text(TinyRun.text)])
      let last = Message(
        header, .refusal(Refusal(reason: "the run is ending", mayJoinAgain: false)))
      var asked: [UInt64] = []
      for _ in 0..<100 where asked.count < 2 {
        _ = try hub.wait(milliseconds: 1000, wakeUp: nil)
        guard let (server, parts) = try hub.receive() else { continue }
        let message = try WireCodec.decode(parts)
        guard case .join = message.body else { continue }
        // It asks more than once while it hears nothing.
        guard asked.last != message.header.incarnation else { continue }
        asked.append(message.header.incarnation)
        let answers =
          asked.count == 1
          ? [try WireCodec.encode(welcome), [text("nonsense")]] : [try WireCodec.encode(last)]
        for answer in answers { #expect(hub.send(answer, to: server)) }
      }
      #expect(Set(asked).count == 2, "\(asked)")
      guard case .failure(let error) = try #require(ends.take()) else {
        Issue.record("it goes on after the end")
        return
      }
      #expect(error.message.hasSuffix("the run is ending"), "\(error)")
    }
  }

  @Test func `one that was in before asks again while its former life has its place`() throws {
    let context = try Context()
    defer { context.terminate() }
    let hub = try Hub(context: context, listen: "inproc://server")
    defer { hub.close(lingerMilliseconds: 0) }
    var options = MemberOptions(role: .fc, server: "inproc://server")
    options.listen = "inproc://fc"
    try withMember(context, options) { ends in
      let header = Header(run: 7, view: 0, sender: .server, incarnation: 9)
      let welcome = Message(
        header, .welcome(Welcome(node: NodeID(3), rank: 0)), frames: [text(TinyRun.text)])
      func refusal(_ reason: String, mayJoinAgain: Bool) -> Message {
        Message(header, .refusal(Refusal(reason: reason, mayJoinAgain: mayJoinAgain)))
      }
      let taken = refusal("all 1 fc slices are taken", mayJoinAgain: true)
      var asked: [UInt64] = []
      for _ in 0..<100 where asked.count < 4 {
        _ = try hub.wait(milliseconds: 1000, wakeUp: nil)
        guard let (server, parts) = try hub.receive() else { continue }
        let message = try WireCodec.decode(parts)
        guard case .join = message.body else { continue }
        asked.append(message.header.incarnation)
        let answers =
          switch asked.count {
          case 1: [welcome, refusal("silent for 3 s", mayJoinAgain: true)]
          case 4: [refusal("the run is ending", mayJoinAgain: false)]
          default: [taken]
          }
        for answer in answers { #expect(hub.send(try WireCodec.encode(answer), to: server)) }
      }
      #expect(asked.count == 4)
      #expect(Set(asked.dropFirst()).count == 1 && asked[0] != asked[1], "\(asked)")
      guard case .failure(let error) = try #require(ends.take()) else {
        Issue.record("it goes on after the end")
        return
      }
      #expect("\(error)".contains("the run is ending"))
    }
  }

  @Test func `who probes a member and does not read gets so much back and no more`() throws {
    let context = try Context()
    defer { context.terminate() }
    let hub = try Hub(context: context, listen: "inproc://server")
    let stranger = try Hub(context: context, listen: nil)
    defer { for hub in [hub, stranger] { hub.close(lingerMilliseconds: 0) } }
    var options = MemberOptions(role: .fc, server: "inproc://server")
    options.listen = "inproc://fc"
    try withMember(context, options) { _ in
      let link = try stranger.dial("inproc://fc")
      let greeting = Frame(copying: Probe.greeting)
      let large = [greeting, Frame(copying: [UInt8](repeating: 1, count: 1 << 20))]
      for _ in 0..<50 { #expect(stranger.send(large, to: link)) }
      var echoes = 0
      var isOver = false
      // A small one is answered once nothing waits any more.
      for _ in 0..<600 where !isOver {
        #expect(stranger.send([greeting], to: link))
        _ = try stranger.wait(milliseconds: 200, wakeUp: nil)
        _ = stranger.takeEvents()
        while let (_, parts) = try stranger.receive() {
          if parts.count == 2 { echoes += 1 } else { isOver = true }
        }
      }
      #expect(isOver)
      #expect((1...31).contains(echoes), "\(echoes)")
    }
  }

  @Test func `whose probes are refused again and again is not listened to any more`() throws {
    let context = try Context()
    defer { context.terminate() }
    let hub = try Hub(context: context, listen: "inproc://server")
    let hubs = try (0..<2).map { _ in try Hub(context: context, listen: nil) }
    defer { for hub in hubs + [hub] { hub.close(lingerMilliseconds: 0) } }
    var options = MemberOptions(role: .fc, server: "inproc://server")
    options.listen = "inproc://fc"
    try withMember(context, options) { _ in
      let greeting = Frame(copying: Probe.greeting)
      let links = try hubs.map { try $0.dial("inproc://fc") }
      for _ in 0..<300 { #expect(hubs[0].send([greeting, greeting, greeting], to: links[0])) }
      #expect(hubs[0].send([greeting], to: links[0]))
      // Their messages are read in turn: after so many of the one all of the other's have been.
      var answers = [0, 0]
      for _ in 0..<400 {
        #expect(hubs[1].send([greeting], to: links[1]))
        let before = answers
        for _ in 0..<600 where answers[1] == before[1] {
          _ = try hubs[1].wait(milliseconds: 200, wakeUp: nil)
          // Those that are not taken end every wait at once.
          _ = hubs[1].takeEvents()
          while try hubs[1].receive() != nil { answers[1] += 1 }
        }
      }
      _ = try hubs[0].wait(milliseconds: 0, wakeUp: nil)
      while try hubs[0].receive() != nil { answers[0] += 1 }
      #expect(answers == [0, 400])
    }
  }

  @Test func `one who is not prepared hears the end of the run`() throws {
    let context = try Context()
    defer { context.terminate() }
    let hub = try Hub(context: context, listen: "inproc://server")
    defer { hub.close(lingerMilliseconds: 0) }
    try withMember(context, MemberOptions(role: .worker, server: "inproc://server")) { ends in
      try hearTheEnd(hub, ends)
    }
  }

  private func hearTheEnd(
    _ hub: Hub, _ ends: Mailbox<Result<Stop, NodeError>>
  ) throws {
    let server = Header(run: 7, view: 0, sender: .server, incarnation: 9)
    var said: [String] = []
    // As many words as it may take; each wait ends with one.
    for _ in 0..<50 where said.last != "goodbye" {
      _ = try hub.wait(milliseconds: 1000, wakeUp: nil)
      while let (link, parts) = try hub.receive() {
        switch try WireCodec.decode(parts).body {
        case .join:
          // In one breath: the second comes while the first is still being read.
          let welcome = Message(
            server, .welcome(Welcome(node: NodeID(3), rank: 0)), frames: [text(TinyRun.text)])
          let stop = Message(server, .stop(Stop(outcome: .finished, reason: "all steps done")))
          for message in [welcome, stop] {
            #expect(hub.send(try WireCodec.encode(message), to: link))
          }
          said.append("join")
        case .goodbye: said.append("goodbye")
        case .heartbeat(let beat): said.append(beat.ready ? "ready" : "preparing")
        default: said.append("something else")
        }
      }
    }
    try #require(said == ["join", "goodbye"])
    let end = try #require(ends.take())
    #expect(try end.get().outcome == .finished)
  }

  @Test func `a server that is gone before its welcome is read is missed`() throws {
    let context = try Context()
    defer { context.terminate() }
    let hub = try Hub(context: context, listen: "tcp://127.0.0.1:0")
    var options = MemberOptions(role: .worker, server: try #require(hub.boundEndpoint))
    options.serverTimeoutSeconds = 1
    let session = try MemberSession(
      context: context, options: options,
      log: Logger(descriptor: 2, name: "member", level: .error))
    defer { session.endRole() }
    // Both hubs live on this thread, and the member does nothing but what it is told here.
    let deadline = MonotonicClock.now() + 120_000_000
    func until(_ condition: () throws -> Bool) throws {
      while try !condition() { try #require(MonotonicClock.now() < deadline) }
    }
    try until {
      try session.turn()
      _ = try session.hub.wait(milliseconds: 10, wakeUp: nil)
      _ = try hub.wait(milliseconds: 10, wakeUp: nil)
      return try hub.receive() != nil
    }
    hub.close(lingerMilliseconds: 0)
    try until {
      try session.turn()
      _ = try session.hub.wait(milliseconds: 10, wakeUp: nil)
      return session.serverLostAt != nil
    }
    // What it had sent before, which is read only now.
    let welcome = Message(
      Header(run: 7, view: 0, sender: .server, incarnation: 9),
      .welcome(Welcome(node: NodeID(3), rank: 0)), frames: [text(TinyRun.text)])
    try session.receive(session.control, try WireCodec.encode(welcome))
    try until {
      try session.turn()
      return session.result != nil
    }
    #expect(session.role != nil)
    guard case .joinAgain(let reason) = session.result else {
      Issue.record("\(String(describing: session.result))")
      return
    }
    #expect(reason.contains("has been gone for 1 s"), "\(reason)")
  }
}
