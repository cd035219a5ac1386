import Synchronization
import Testing

@testable import Observability

@Suite(.timeLimit(.minutes(30)))
struct HTTPServerTests {
  /// A server on loopback with a port of its own, for the length of `body`.
  static func withServer(
    token: String? = nil, _ body: (HTTPServer, StatusBoard) throws -> Void
  ) throws {
    let board = StatusRouterTests.board()
    let server = try HTTPServer(
      .init(address: HTTPAddress(port: 0), token: try token.map { try AccessToken(text: $0) }),
      board: board)
    defer { server.stop(graceMilliseconds: 0) }
    try body(server, board)
  }

  @Test func `it answers on the port that the system picked`() throws {
    try Self.withServer { server, _ in
      #expect(server.address.port != 0)
      let answer = HTTPClient.get("/api/v1/status", port: server.address.port)
      #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
      #expect(answer.contains(#""step":812"#))
    }
  }

  @Test func `one connection serves several requests`() throws {
    try Self.withServer { server, _ in
      let client = HTTPClient(port: server.address.port)
      for path in ["/healthz", "/readyz"] {
        client.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(client.read { $0.hasSuffix("running\n") }.hasPrefix("HTTP/1.1 200"))
      }
    }
  }

  @Test func `HEAD has the length and no body`() throws {
    try Self.withServer { server, _ in
      let client = HTTPClient(port: server.address.port)
      client.send("HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
      let answer = client.read()
      #expect(answer.hasPrefix("HTTP/1.1 200"))
      #expect(answer.contains("Content-Length: 12"))
      #expect(answer.hasSuffix("\r\n\r\n"))
    }
  }

  @Test(arguments: [
    (
      "GET / HTTP/1.1\r\nHost: localhost\r\nX: \(String(repeating: "x", count: 100_000))\r\n\r\n",
      "431"
    ),
    ("GET /\(String(repeating: "x", count: 100_000)) HTTP/1.1\r\nHost: localhost\r\n\r\n", "414"),
    ("GET / HTTP/1.1\r\n\r\n", "400"), ("hello\r\n\r\n", ""),
    ("POST /api/v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", "405"),
    ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n", "405"),
    ("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", ""),
    ("GET /%00/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "404"),
    ("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", "421"),
  ])
  func `what is no decent request is refused, and the next one is answered`(
    request: String, status: String
  ) throws {
    try Self.withServer { server, _ in
      let client = HTTPClient(port: server.address.port)
      client.send(request)
      let answer = client.read()
      #expect(!answer.hasPrefix("HTTP/1.1 200"), "\(answer.prefix(200))")
      if !status.isEmpty {
        #expect(answer.split(separator: " ").dropFirst().first == status[...])
      }
      #expect(HTTPClient.get("/healthz", port: server.address.port).contains("ok: running"))
    }
  }

  @Test func `a crowd that says nothing does not keep others out`() throws {
    try Self.withServer { server, board in
      // More than one address may have: the surplus is turned away, not queued.
      var descriptors: [Holder] = []
      for _ in 0..<60 { descriptors.append(Holder(port: server.address.port)) }
      board.publish(exampleRecord())
      #expect(HTTPClient.get("/healthz", port: server.address.port).contains("ok: running"))
      #expect(descriptors.count == 60)
    }
  }

  /// A server whose clock stands still, to be put forward.
  private static func withClock(
    _ body: (HTTPServer, StatusBoard, (UInt64) -> Void) throws -> Void
  ) throws {
    let time = Time()
    let board = StatusRouterTests.board()
    let server = try HTTPServer(
      .init(address: HTTPAddress(port: 0)), board: board,
      clock: { time.milliseconds.load(ordering: .relaxed) })
    defer { server.stop(graceMilliseconds: 0) }
    try body(server, board) { milliseconds in
      time.milliseconds.add(milliseconds, ordering: .relaxed)
      server.wake()
    }
  }

  private final class Time: Sendable {
    let milliseconds = Atomic<UInt64>(1_000_000)
  }

  @Test func `half a request that grows byte by byte is cut off, a stream is not`() throws {
    try Self.withClock { server, board, pass in
      let watcher = HTTPClient(port: server.address.port)
      watcher.send(Self.subscription)
      #expect(watcher.read { $0.contains("id: 1\n") }.contains("200 OK"))
      let client = HTTPClient(port: server.address.port)
      // An answered request shows that the connection is known; then the next one never ends.
      client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
      #expect(client.read { $0.hasSuffix("running\n") }.hasPrefix("HTTP/1.1 200"))
      client.send("GET / HTTP/1.1\r\nX: ")
      // The server's one thread is done with that answer once it gives another.
      #expect(HTTPClient.get("/healthz", port: server.address.port).contains("ok: running"))
      pass(OpenRequests.requestPatience - 1)
      client.send("x")
      #expect(HTTPClient.get("/healthz", port: server.address.port).contains("ok: running"))
      pass(1)
      let isCut = client.isHungUpOn()
      #expect(isCut)
      var record = exampleRecord()
      record.step = 813
      board.publish(record)
      pass(1_000_000)
      #expect(watcher.read { $0.contains(#""step":813"#) }.contains("id: 2\n"))
    }
  }

  @Test func `half requests make room sooner where there are many`() throws {
    try Self.withClock { server, _, pass in
      let crowd = (0..<60).map { _ in Holder(port: server.address.port) }
      // They are taken in their order: whoever is answered comes after them.
      #expect(HTTPClient.get("/healthz", port: server.address.port).contains("ok: running"))
      pass(OpenRequests.crowdedPatience)
      // The first that is not would cost as long as any.
      let isEmptied = crowd.allSatisfy { $0.client.isHungUpOn() }
      #expect(isEmptied)
      #expect(HTTPClient.get("/healthz", port: server.address.port).contains("ok: running"))
    }
  }

  /// A connection in an array: `HTTPClient` cannot be copied.
  final class Holder {
    let client: HTTPClient
    init(port: UInt16) {
      client = HTTPClient(port: port)
      client.send("GET / HT")
    }
  }

  // MARK: Streams

  static let subscription = "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"

  @Test func `a stream has the status at once and again when it changes`() throws {
    try Self.withServer { server, board in
      let client = HTTPClient(port: server.address.port)
      client.send(Self.subscription)
      let first = client.read { $0.contains(#""step":812"#) && $0.contains("\n\n") }
      #expect(first.contains("Content-Type: text/event-stream"))
      #expect(first.contains("event: status\nid: 1\ndata: {"))
      var record = exampleRecord()
      record.step = 813
      board.publish(record)
      server.wake()
      #expect(client.read { $0.contains(#""step":813"#) }.contains("id: 2\n"))
    }
  }

  @Test func `a reader that lags gets the newest, not all that it missed`() throws {
    try Self.withServer { server, board in
      let client = HTTPClient(port: server.address.port)
      client.send(Self.subscription)
      _ = client.read { $0.contains("id: 1\n") && $0.contains("}\n\n") }
      var record = exampleRecord()
      for step: UInt64 in 900..<950 {
        record.step = step
        board.publish(record)
      }
      server.wake()
      let rest = client.read { $0.contains(#""step":949"#) }
      #expect(!rest.contains(#""step":925"#))
    }
  }

  @Test func `streams end with the server, after its last word`() throws {
    let board = StatusRouterTests.board()
    let server = try HTTPServer(.init(address: HTTPAddress(port: 0)), board: board)
    let client = HTTPClient(port: server.address.port)
    client.send(Self.subscription)
    _ = client.read { $0.contains("id: 1\n") }
    var record = exampleRecord()
    record.state = .finished
    board.publish(record)
    server.stop(graceMilliseconds: 5000)
    let rest = client.read()
    #expect(rest.contains(#""state":"finished""#))
    #expect(rest.hasSuffix("0\r\n\r\n"))
  }

  @Test func `watchers that leave make room, too many are turned away`() throws {
    try Self.withServer { server, board in
      func subscribe() -> Watcher {
        let watcher = Watcher(port: server.address.port)
        return watcher
      }
      var watchers = (0..<EventStreams.most).map { _ in subscribe() }
      #expect(watchers.allSatisfy { $0.begin.contains("200 OK") })
      #expect(subscribe().begin.contains("503"))
      watchers.removeAll()
      // A dead connection is noticed when something is sent over it.
      var admitted = false
      for _ in 0..<200 where !admitted {
        board.publish(exampleRecord())
        server.wake()
        admitted = subscribe().begin.contains("200 OK")
      }
      #expect(admitted)
    }
  }

  final class Watcher {
    let client: HTTPClient
    let begin: String
    init(port: UInt16) {
      client = HTTPClient(port: port)
      client.send(HTTPServerTests.subscription)
      begin = client.read { $0.contains("\r\n\r\n") }
    }
  }

  // MARK: Addresses

  @Test func `a port that is taken is one line that says what to do`() throws {
    try Self.withServer { server, board in
      let error = #expect(throws: ObservabilityError.self) {
        try HTTPServer(.init(address: server.address), board: board)
      }
      #expect(
        error?.message == "--http \(server.address): another program has port "
          + "\(server.address.port): choose another one, or 0 for any")
    }
  }

  @Test(arguments: [
    ("8080", "127.0.0.1:8080", "http://127.0.0.1:8080/"),
    ("0", "127.0.0.1:0", "http://127.0.0.1:0/"),
    ("0.0.0.0:80", "0.0.0.0:80", "http://127.0.0.1:80/"),
    ("*:80", "0.0.0.0:80", "http://127.0.0.1:80/"), ("[::1]:80", "[::1]:80", "http://[::1]:80/"),
    ("[::]:80", "[::]:80", "http://[::1]:80/"), ("node7:80", "node7:80", "http://node7:80/"),
  ])
  func `addresses as people write them`(text: String, address: String, url: String) throws {
    let read = try HTTPAddress(text)
    #expect("\(read)" == address)
    #expect(read.url == url)
  }

  @Test(arguments: ["", "x", "65536", "-1", ":80", "::1:80", "a:b", "http://x:80", "a/b:80", "+80"])
  func `what is no address is refused`(text: String) {
    #expect(throws: ObservabilityError.self) { try HTTPAddress(text) }
  }

  @Test(arguments: [
    ("127.0.0.1:1", true), ("[::1]:1", true), ("localhost:1", true), ("*:1", false),
    ("10.0.0.1:1", false),
  ])
  func `loopback is known`(text: String, expected: Bool) throws {
    #expect(try HTTPAddress(text).isLoopback == expected)
  }
}
