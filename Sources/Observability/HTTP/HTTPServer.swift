import CMicroHTTPD
import Glibc

/// A web server on a thread of its own, over libmicrohttpd.
///
/// It reads a `StatusBoard` and nothing else, so that it cannot hold training up: whoever asks waits
/// for this one thread, which has a lower priority than the kernels. What a client can take is
/// bounded: connections in all and per address, bytes of headers, seconds of silence and of a request.
package final class HTTPServer: Sendable {
  /// How the server is started.
  package struct Options: Sendable {
    package var address: HTTPAddress
    package var token: AccessToken?

    package init(address: HTTPAddress, token: AccessToken? = nil) {
      self.address = address
      self.token = token
    }
  }

  /// Where it listens, with the port the system picked.
  package let address: HTTPAddress
  private let answers: Answers
  // libmicrohttpd locks its daemon itself; it is stopped once, by the owner of this object.
  private nonisolated(unsafe) let daemon: OpaquePointer

  /// More connections serve more watchers and cost memory when all are taken.
  private static let bounds = crosscut_http_bounds(
    connections: 128, connections_per_address: 64, connection_memory: 32 * 1024,
    timeout_seconds: 15)

  /// Starts to listen.
  ///
  /// - Throws: `ObservabilityError` that says why it cannot.
  package convenience init(_ options: Options, board: StatusBoard) throws(ObservabilityError) {
    try self.init(options, board: board, clock: StatusBoard.now)
  }

  /// - Parameter clock: monotonic milliseconds.
  init(
    _ options: Options, board: StatusBoard, clock: @escaping @Sendable () -> UInt64
  ) throws(ObservabilityError) {
    let (descriptor, bound) = try options.address.listen()
    answers = Answers(
      StatusRouter(board: board, token: options.token, isLoopbackOnly: bound.isLoopback),
      OpenRequests(clock: clock))
    guard
      let daemon = crosscut_http_start(
        descriptor,
        { context, connection, url, method, _, _, uploaded, state in
          Answers.of(context).handle(connection, url, method, uploaded, state)
        },
        { context, connection, _, change in
          Answers.of(context).requests.note(connection, isOpen: change.rawValue == 0)
        },
        { context, connection, _, _ in Answers.of(context).requests.set(connection, to: .asking) },
        Unmanaged.passUnretained(answers).toOpaque(), Self.bounds)
    else {
      let reason = String(cString: strerror(errno)).lowercased()
      close(descriptor)
      throw ObservabilityError("--http \(options.address): libmicrohttpd did not start: \(reason)")
    }
    self.daemon = daemon
    address = bound
  }

  /// Tells the streams that there is a new snapshot, and cuts off who takes too long. To be called a
  /// few times a second. Returns at once.
  package func wake() {
    answers.streams.wake()
    answers.requests.cutOverdue()
  }

  /// Lets the streams send what they have for at most `milliseconds`, then ends all connections.
  package func stop(graceMilliseconds: Int = 300) {
    let listening = MHD_quiesce_daemon(daemon)
    answers.streams.close()
    for _ in 0..<max(0, graceMilliseconds / 10) where !answers.streams.isEmpty { usleep(10_000) }
    answers.streams.wake()
    MHD_stop_daemon(daemon)
    if listening >= 0 { Glibc.close(listening) }
  }
}

/// What libmicrohttpd calls, on its own thread.
private final class Answers: Sendable {
  let router: StatusRouter
  let streams: EventStreams
  let requests: OpenRequests

  init(_ router: StatusRouter, _ requests: OpenRequests) {
    self.router = router
    self.requests = requests
    streams = EventStreams(board: router.board)
  }

  static func of(_ context: UnsafeMutableRawPointer?) -> Answers {
    guard let context else { preconditionFailure("libmicrohttpd lost its context") }
    return Unmanaged<Answers>.fromOpaque(context).takeUnretainedValue()
  }

  /// Marks a connection whose headers have been seen.
  private static var seen: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: 1) }

  func handle(
    _ connection: OpaquePointer?, _ url: UnsafePointer<CChar>?, _ method: UnsafePointer<CChar>?,
    _ uploaded: UnsafeMutablePointer<Int>?,
    _ state: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
  ) -> MHD_Result {
    guard let connection, let url, let method, let state else { return MHD_Result.NO }
    requests.set(connection, to: .answering)
    let name = String(cString: method)
    let isRead = name == "GET" || name == "HEAD"
    if state.pointee == nil {
      Self.yieldToKernels()
      state.pointee = Self.seen
      // An answer before the body has come closes the connection, which is what a write deserves.
      if isRead { return MHD_Result.YES }
    } else if uploaded?.pointee != 0 {
      return MHD_Result.NO
    }
    var request = HTTPRequest(method: name, path: String(cString: url))
    for header in HTTPRequest.headersOfInterest {
      request.headers[header] = value(connection, MHD_ValueKind.HEADER_KIND, header)
    }
    for key in HTTPRequest.queryOfInterest {
      request.query[key] = value(connection, MHD_ValueKind.GET_ARGUMENT_KIND, key)
    }
    return send(router.answer(request), over: connection)
  }

  private func value(_ connection: OpaquePointer, _ kind: MHD_ValueKind, _ key: String) -> String? {
    MHD_lookup_connection_value(connection, kind, key).map { String(cString: $0) }
  }

  private func send(_ answer: HTTPResponse, over connection: OpaquePointer) -> MHD_Result {
    let response: OpaquePointer?
    switch answer.body {
    case .bytes(var bytes):
      response = bytes.withUnsafeMutableBytes {
        MHD_create_response_from_buffer(
          $0.count, $0.baseAddress, MHD_ResponseMemoryMode.RESPMEM_MUST_COPY)
      }
    case .events:
      guard let stream = streams.open(connection) else {
        return send(
          .failure(503, "too many watchers", [.init("Retry-After", "10")]), over: connection)
      }
      requests.set(connection, to: .watching)
      response = MHD_create_response_from_callback(
        UInt64.max, EventStreams.blockBytes,
        { context, _, target, room in EventStream.of(context).read(into: target, room) },
        Unmanaged.passRetained(stream).toOpaque(),
        { context in EventStream.of(context).end() })
    }
    guard let response else { return MHD_Result.NO }
    defer { MHD_destroy_response(response) }
    for header in answer.headers {
      MHD_add_response_header(response, header.name, header.value)
    }
    return MHD_queue_response(connection, UInt32(answer.status), response)
  }

  /// Whoever watches must not take a core from who trains: Linux has priorities for each thread.
  private static func yieldToKernels() {
    guard getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) == 0 else { return }
    setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
  }
}
