import Synchronization
import Testing

@testable import Observability

@Suite struct StatusRouterTests {
  static func board(_ record: StatusRecord = exampleRecord()) -> StatusBoard {
    StatusBoard(record, plan: Array(#"{"layers":[]}"#.utf8), version: "1.2.3")
  }

  static func get(
    _ path: String, _ headers: [String: String] = [:], query: [String: String] = [:],
    board: StatusBoard = board(), token: String? = nil, loopback: Bool = false,
    method: String = "GET"
  ) throws -> HTTPResponse {
    let router = StatusRouter(
      board: board, token: try token.map { try AccessToken(text: $0) }, isLoopbackOnly: loopback)
    return router.answer(
      HTTPRequest(method: method, path: path, query: query, headers: headers))
  }

  static func text(_ response: HTTPResponse) -> String {
    String(decoding: response.bytes, as: UTF8.self)
  }

  @Test(arguments: [
    ("/api/v1/status", #""step":812"#), ("/api/v1/nodes", #""role":"fc""#),
    ("/api/v1/plan", "layers"), ("/api/v1/metrics/history", #""stride":1"#),
    ("/api/v1/log", "[]"), ("/metrics", "crosscut_steps_total 812\n"), ("/healthz", "ok: running"),
    ("/readyz", "ready: running"), ("/", "<!doctype html>"),
  ])
  func `every endpoint has its contents and cannot be misread`(path: String, part: String) throws {
    let answer = try Self.get(path)
    #expect(answer.status == 200)
    #expect(Self.text(answer).lowercased().contains(part.lowercased()))
    #expect(answer.header("X-Content-Type-Options") == "nosniff")
    #expect(answer.header("Cache-Control") != nil)
    #expect(answer.header("Content-Type") != nil)
  }

  @Test func `predictions come once there are some`() throws {
    let board = Self.board()
    let early = try Self.get("/api/v1/predictions", board: board)
    #expect(early.status == 503 && early.header("Retry-After") != nil)
    board.publish(
      SampleSnapshot(
        step: 60, height: 1, width: 2, channels: 1, classNames: ["shirt", "boot"],
        samples: [
          .init(label: 1, pixels: [0, 255], guesses: [.init(index: 1, probability: 0.75)])
        ]))
    let answer = try Self.get("/api/v1/predictions", board: board)
    #expect(answer.status == 200)
    let text = Self.text(answer)
    #expect(
      text == #"{"channels":1,"classNames":["shirt","boot"],"height":1,"samples":["#
        + #"{"guesses":[{"class":1,"probability":0.75}],"label":1,"pixels":"AP8="}],"step":60,"#
        + #""width":2}"# + "\n", "\(text)")
  }

  @Test func `another path is told which there are`() throws {
    let answer = try Self.get("/api/v1/stauts")
    #expect(answer.status == 404)
    for path in StatusRouter.paths { #expect(Self.text(answer).contains(path)) }
  }

  @Test(arguments: ["POST", "PUT", "DELETE", "TRACE", "CONNECT", "GRUMPF"])
  func `nothing can be written`(method: String) throws {
    let answer = try Self.get("/api/v1/status", method: method)
    #expect(answer.status == 405)
    #expect(answer.header("Allow") == "GET, HEAD")
  }

  // MARK: Conditional requests

  @Test(arguments: ["/", "/api/v1/status", "/metrics", "/api/v1/plan"])
  func `who has it already gets nothing`(path: String) throws {
    let board = Self.board()
    let first = try Self.get(path, board: board)
    let tag = try #require(first.header("ETag"))
    for known in [tag, "W/\(tag)", "\"other\", \(tag)", "*"] {
      let second = try Self.get(path, ["if-none-match": known], board: board)
      #expect(second.status == 304)
      #expect(second.bytes.isEmpty)
      #expect(second.header("ETag") == tag)
    }
    #expect(try Self.get(path, ["if-none-match": "\"other\""], board: board).status == 200)
  }

  @Test func `a new snapshot has a new tag`() throws {
    let board = Self.board()
    let first = try Self.get("/api/v1/status", board: board).header("ETag")
    var record = exampleRecord()
    record.step += 1
    board.publish(record)
    let second = try Self.get("/api/v1/status", ["if-none-match": first ?? ""], board: board)
    #expect(second.status == 200)
    #expect(second.header("ETag") != first)
  }

  @Test func `long answers are packed for those who take it`() throws {
    let plain = try Self.get("/api/v1/status")
    let packed = try Self.get("/api/v1/status", ["accept-encoding": "br, gzip"])
    #expect(packed.header("Content-Encoding") == "gzip")
    #expect(packed.bytes.count < plain.bytes.count / 2)
    #expect(packed.bytes.prefix(2) == [0x1F, 0x8B])
    #expect(packed.header("ETag") != plain.header("ETag"))
    #expect(packed.header("Vary") == "Accept-Encoding")
    #expect(
      try Self.get("/api/v1/plan", ["accept-encoding": "gzip"]).header("Content-Encoding") == nil)
  }

  @Test(arguments: [
    ("gzip", true), ("GZIP;q=1.0", true), ("deflate, gzip ; q=0.5", true), ("*", true),
    ("gzip;q=0", false), ("gzip;q=0, *", false), ("br", false), ("", false), ("*;q=0", false),
    ("gzip;q=nonsense", false),
  ])
  func `gzip only for those who want it`(header: String, expected: Bool) {
    #expect(ContentCoding.acceptsGzip(header) == expected)
  }

  // MARK: Queries

  @Test func `a history can be asked for from a step on, and for fewer points`() throws {
    let board = Self.board()
    for step: UInt64 in 1...9 { board.append(MetricsHistoryTests.point(step)) }
    #expect(
      Self.text(
        try Self.get(
          "/api/v1/metrics/history", query: ["since": "6", "points": "2"], board: board)
      ).contains(#""step":[8,9]"#))
  }

  @Test(arguments: [
    ["points": "0"], ["points": "-1"], ["points": "99999999"], ["points": "many"],
    ["since": "-1"], ["since": "99999999999999999999"], ["since": ""],
  ])
  func `a query that cannot be is refused`(query: [String: String]) throws {
    #expect(try Self.get("/api/v1/metrics/history", query: query).status == 400)
  }

  // MARK: Who may look

  static let token = "0123456789abcdef"

  @Test(
    arguments: [
      (nil, 401), ("", 401), ("Bearer", 401), ("Bearer 0123456789abcdeF", 401),
      ("Bearer 0123456789abcde", 401), ("Bearer 0123456789abcdef0", 401),
      ("Basic 0123456789abcdef", 401), ("0123456789abcdef", 401), ("Bearer 0123456789abcdef", 200),
      ("bearer 0123456789abcdef", 200),
    ] as [(String?, Int)])
  func `the data is for those with the token`(header: String?, status: Int) throws {
    let headers = header.map { ["authorization": $0] } ?? [:]
    // The page without data and the probes are for everybody; all else there is, is not.
    let open = ["/", "/healthz", "/readyz"]
    let closed = StatusRouter.paths.filter { !open.contains($0) }
    #expect(closed.count == StatusRouter.paths.count - open.count && closed.count >= 9)
    for path in closed {
      let answer = try Self.get(path, headers, token: Self.token)
      #expect(status == 401 ? answer.status == 401 : answer.status != 401)
      if status == 401 { #expect(answer.header("WWW-Authenticate")?.hasPrefix("Bearer") == true) }
    }
    for path in open {
      #expect(try Self.get(path, headers, token: Self.token).status == 200)
    }
  }

  @Test func `a token is never printed`() throws {
    let token = try AccessToken(text: " \(Self.token)\n")
    var dumped = ""
    dump(token, to: &dumped)
    #expect(!"\(token) \(dumped)".contains("0123"))
    let options = HTTPServer.Options(address: HTTPAddress(port: 1), token: token)
    #expect(!"\(options)".contains("0123"))
  }

  @Test(arguments: ["", "short", "0123456789 abcdef", "0123456789abcdeé", "\u{7}123456789abcdef"])
  func `a token that could be guessed or not be sent is refused`(text: String) {
    #expect(throws: ObservabilityError.self) { try AccessToken(text: text) }
  }

  @Test(arguments: [
    ("localhost", 200), ("localhost:8080", 200), ("127.0.0.1:8080", 200), ("127.8.0.1", 200),
    ("[::1]:8080", 200), ("page.localhost:1", 200), ("evil.example", 421),
    ("127.0.0.1.evil.example", 421), ("localhost.evil.example", 421), ("[::2]", 421), ("", 421),
  ])
  func `on loopback other names are not believed`(host: String, status: Int) throws {
    #expect(try Self.get("/healthz", ["host": host], loopback: true).status == status)
    #expect(try Self.get("/healthz", ["host": host]).status == 200)
  }

  // MARK: Health

  @Test(arguments: StatusRecord.State.allCases)
  func `health and readiness follow the state`(state: StatusRecord.State) throws {
    var record = exampleRecord()
    record.state = state
    let board = Self.board(record)
    #expect(try Self.get("/healthz", board: board).status == (state == .failed ? 503 : 200))
    let isReady = state != .failed && state != .gathering
    #expect(try Self.get("/readyz", board: board).status == (isReady ? 200 : 503))
  }

  @Test(arguments: ["/healthz", "/readyz"])
  func `why a run has failed is for those with the token`(path: String) throws {
    var record = exampleRecord()
    record.state = .failed
    record.message = "worker 0: cannot read /home/me/data"
    let board = Self.board(record)
    let shown = ["authorization": "Bearer \(Self.token)"]
    #expect(Self.text(try Self.get(path, board: board, token: Self.token)) == "failed\n")
    for answer in [
      try Self.get(path, shown, board: board, token: Self.token), try Self.get(path, board: board),
    ] {
      #expect(Self.text(answer) == "failed: worker 0: cannot read /home/me/data\n")
    }
  }

  @Test func `a server whose socket thread is stuck is not healthy`() throws {
    let time = Mutex<UInt64>(1_000_000)
    let record = exampleRecord()
    let board = StatusBoard(record, plan: [], version: "") { time.withLock { $0 } }
    time.withLock { $0 += 10_001 }
    let answer = try Self.get("/healthz", board: board)
    #expect(answer.status == 503)
    #expect(Self.text(answer) == "stuck: no status since 10 s\n")
    board.publish(record)
    #expect(try Self.get("/healthz", board: board).status == 200)
  }

  // MARK: Filters and events

  @Test func `filters come when they are asked for, and not more often than every two seconds`()
    throws
  {
    let time = Mutex<UInt64>(0)
    let board = StatusBoard(exampleRecord(), plan: [], version: "") { time.withLock { $0 } }
    #expect(!board.wantsFilters)
    #expect(try Self.get("/api/v1/filters", board: board).status == 503)
    #expect(board.wantsFilters)
    board.publish(
      FilterSnapshot(layer: "conv1", step: 7, shape: [1, 2, 1, 1], groups: 1, values: [1, -0.5]))
    let text = Self.text(try Self.get("/api/v1/filters", board: board))
    #expect(text.contains(#""values":"AACAPwAAAL8=""#) && text.contains(#""step":7"#))
    #expect(!board.wantsFilters)
    time.withLock { $0 += 2000 }
    _ = try Self.get("/api/v1/filters", board: board)
    #expect(board.wantsFilters)
  }

  @Test func `the log keeps the last events`() throws {
    let board = Self.board()
    for index in 0..<StatusBoard.eventsKept + 5 {
      board.append(EventRecord(secondsSinceStart: Double(index), text: "event \(index)"))
    }
    #expect(board.events.count == StatusBoard.eventsKept)
    #expect(board.events.first?.text == "event 5")
  }

  @Test(arguments: [
    ("worker 1 joined: host, process 7", EventRecord.Kind.join),
    ("fc 0 is gone: its connection closed", .gone), ("worker 2 leaves: SIGTERM", .gone),
    ("view 4: worker 0; 2 fc nodes; turn 117", .view), ("running turn 12 again", .recovery),
    ("no progress in turn 3: fc 0 is gone", .stall), ("ending: SIGTERM", .end),
    ("512 of 512 fc parameters have come", .note),
  ])
  func `an event says what it is about`(text: String, kind: EventRecord.Kind) {
    #expect(EventRecord.Kind(note: text) == kind)
  }
}
