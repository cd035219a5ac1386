import Synchronization

/// What the HTTP server answers: reads a board, knows no socket.
struct StatusRouter: Sendable {
  let board: StatusBoard
  let token: AccessToken?
  /// Names of this machine only are believed: a page elsewhere cannot make its own name mean it.
  let isLoopbackOnly: Bool
  /// A socket thread that has put up nothing for so long is stuck, milliseconds.
  static let pulse: UInt64 = 10_000

  /// The endpoints, for those who ask for another one.
  static let paths = [
    "/", "/api/v1/status", "/api/v1/nodes", "/api/v1/metrics/history", "/api/v1/plan",
    "/api/v1/filters", "/api/v1/predictions", "/api/v1/log", "/api/v1/events", "/metrics",
    "/healthz", "/readyz",
  ]
  private static let open: Set<String> = ["/", "/healthz", "/readyz"]

  /// Answers a request.
  func answer(_ request: HTTPRequest) -> HTTPResponse {
    guard ["GET", "HEAD"].contains(request.method) else {
      return .failure(
        405, "only GET and HEAD: nothing can be changed here", [.init("Allow", "GET, HEAD")])
    }
    if isLoopbackOnly, let host = request.headers["host"], !Self.isLocal(host) {
      return .failure(421, "this server is called localhost")
    }
    // The page has no data in it, and probes cannot show a token.
    if let token, !Self.open.contains(request.path), Self.paths.contains(request.path),
      !token.isShown(by: request.headers["authorization"])
    {
      return .failure(
        401, "needs the token: Authorization: Bearer TOKEN",
        [.init("WWW-Authenticate", "Bearer realm=\"crosscut\"")])
    }
    switch request.path {
    case "/": return page(request)
    case "/api/v1/status": return json(board.snapshot.record.json(), request)
    case "/api/v1/nodes": return json(JSON.encode(board.snapshot.record.nodes), request)
    case "/api/v1/metrics/history": return history(request)
    case "/api/v1/plan": return json(board.plan, request)
    case "/api/v1/filters": return filters(request)
    case "/api/v1/predictions": return predictions(request)
    case "/api/v1/log": return json(JSON.encode(board.events), request)
    case "/api/v1/events":
      return HTTPResponse(
        status: 200,
        headers: HTTPResponse.commonHeaders + [
          .init("Content-Type", "text/event-stream"), .init("Cache-Control", "no-store"),
          .init("X-Accel-Buffering", "no"),
        ], body: .events)
    case "/metrics": return metrics(request)
    case "/healthz": return health(request)
    case "/readyz": return readiness(request)
    default:
      return .failure(404, "nothing is here; there are \(Self.paths.joined(separator: ", "))")
    }
  }

  // MARK: Answers

  private func page(_ request: HTTPRequest) -> HTTPResponse {
    var response = Page.response
    if ContentCoding.matches(request.headers["if-none-match"], tag: Page.tag) {
      return unchanged(response)
    }
    if ContentCoding.acceptsGzip(request.headers["accept-encoding"]) {
      response.body = .bytes(Page.gzipped)
      response.headers.append(.init("Content-Encoding", "gzip"))
    }
    return response
  }

  private func history(_ request: HTTPRequest) -> HTTPResponse {
    let since = request.query["since"].map { UInt64($0) } ?? 0
    let points = request.query["points"].map { Int($0) } ?? StatusRouter.mostPoints
    guard let since, let points, (1...StatusRouter.mostPoints).contains(points) else {
      return .failure(
        400, "expected since=STEP and points=N, N from 1 to \(StatusRouter.mostPoints)")
    }
    return json(JSON.encode(HistoryRecord(board.history, after: since, most: points)), request)
  }

  /// Points of a history at most.
  private static let mostPoints = 4096

  private func filters(_ request: HTTPRequest) -> HTTPResponse {
    guard let filters = board.filters() else {
      return .failure(
        503, "no filters yet: they come with the next step", [.init("Retry-After", "2")])
    }
    return json(JSON.encode(FilterRecord(filters)), request)
  }

  private func predictions(_ request: HTTPRequest) -> HTTPResponse {
    guard let samples = board.samples else {
      return .failure(
        503, "no predictions yet: they come with the next evaluation", [.init("Retry-After", "10")])
    }
    return json(JSON.encode(SampleRecord(samples)), request)
  }

  private func metrics(_ request: HTTPRequest) -> HTTPResponse {
    let isOpen = (request.headers["accept"] ?? "").contains("application/openmetrics-text")
    let families = StatusMetrics.families(board.snapshot.record, version: board.version)
    return body(
      Array(Exposition.render(families, format: isOpen ? .openMetrics : .prometheus).utf8),
      isOpen
        ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
        : "text/plain; version=0.0.4; charset=utf-8", request, vary: "Accept, Accept-Encoding")
  }

  /// ": " and the run's own words, which are for those only who may see the data.
  private func reason(_ record: StatusRecord, _ request: HTTPRequest) -> String {
    let mayKnow = token?.isShown(by: request.headers["authorization"]) ?? true
    return mayKnow && !record.message.isEmpty ? ": \(Format.printable(record.message))" : ""
  }

  private func health(_ request: HTTPRequest) -> HTTPResponse {
    let snapshot = board.snapshot
    let age = board.age(of: snapshot)
    if snapshot.record.state == .failed {
      return plain(503, "failed\(reason(snapshot.record, request))")
    }
    if age > Self.pulse {
      return plain(503, "stuck: no status since \(Format.duration(milliseconds: age))")
    }
    return plain(200, "ok: \(snapshot.record.state.rawValue)")
  }

  private func readiness(_ request: HTTPRequest) -> HTTPResponse {
    let record = board.snapshot.record
    switch record.state {
    case .running, .evaluating, .finishing, .finished:
      return plain(200, "ready: \(record.state.rawValue)")
    case .gathering, .failed:
      return plain(503, "\(record.state.rawValue)\(reason(record, request))")
    }
  }

  // MARK: Parts

  private func plain(_ status: Int, _ text: String) -> HTTPResponse {
    HTTPResponse(
      status: status,
      headers: HTTPResponse.commonHeaders + [
        .init("Content-Type", "text/plain; charset=utf-8"), .init("Cache-Control", "no-store"),
      ], body: .bytes(Array(text.utf8) + [0x0A]))
  }

  private func json(_ bytes: [UInt8], _ request: HTTPRequest) -> HTTPResponse {
    body(bytes + [0x0A], "application/json", request, vary: "Accept-Encoding")
  }

  private func body(
    _ bytes: [UInt8], _ type: String, _ request: HTTPRequest, vary: String
  ) -> HTTPResponse {
    let gzip =
      bytes.count >= ContentCoding.smallest
      && ContentCoding.acceptsGzip(request.headers["accept-encoding"])
    let tag = ContentCoding.tag(bytes, gzipped: gzip)
    var response = HTTPResponse(
      status: 200,
      headers: HTTPResponse.commonHeaders + [
        .init("Content-Type", type), .init("Cache-Control", "no-cache"), .init("ETag", tag),
        .init("Vary", vary),
      ], body: .bytes(bytes))
    if ContentCoding.matches(request.headers["if-none-match"], tag: tag) {
      return unchanged(response)
    }
    if gzip, let packed = ContentCoding.gzip(bytes) {
      response.body = .bytes(packed)
      response.headers.append(.init("Content-Encoding", "gzip"))
    }
    return response
  }

  private func unchanged(_ response: HTTPResponse) -> HTTPResponse {
    var response = response
    response.status = 304
    response.body = .bytes([])
    return response
  }

  /// Whether a Host header means this machine: "localhost:8080", "127.0.0.1", "[::1]:8080".
  static func isLocal(_ header: String) -> Bool {
    if header.hasPrefix("[") { return header == "[::1]" || header.hasPrefix("[::1]:") }
    let host = (header.split(separator: ":", omittingEmptySubsequences: false).first ?? "")
      .lowercased()
    if host == "localhost" || host.hasSuffix(".localhost") { return true }
    // A number, not a name that begins like one.
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
  }
}
