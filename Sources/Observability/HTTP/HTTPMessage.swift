/// A request as the router needs it; everything in it was chosen by somebody else.
struct HTTPRequest: Sendable {
  var method = "GET"
  var path: String
  /// Values of the query: "points" to "500".
  var query: [String: String] = [:]
  /// By lower-case name; only those the router looks at.
  var headers: [String: String] = [:]

  /// Headers that are looked at; nothing else is copied out of the library.
  static let headersOfInterest = [
    "accept", "accept-encoding", "authorization", "host", "if-none-match",
  ]
  /// Query values that are looked at.
  static let queryOfInterest = ["points", "since"]
}

/// What a request is answered with.
struct HTTPResponse: Sendable {
  var status: Int
  var headers: [Header]
  var body: Body

  struct Header: Hashable, Sendable {
    let name: String
    let value: String

    init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  enum Body: Sendable {
    case bytes([UInt8])
    /// Goes on until the client leaves: the status whenever it changes.
    case events
  }

  /// What every answer has: nothing here may be framed, guessed at or told to other sites.
  static let commonHeaders = [
    Header("X-Content-Type-Options", "nosniff"), Header("Referrer-Policy", "no-referrer"),
    Header("Cross-Origin-Resource-Policy", "same-origin"),
  ]

  /// The value of a header.
  func header(_ name: String) -> String? {
    headers.first { $0.name.lowercased() == name.lowercased() }?.value
  }

  /// The body's bytes; none for a stream.
  var bytes: [UInt8] {
    if case .bytes(let bytes) = body { bytes } else { [] }
  }

  /// An error as JSON: `{"error":"..."}`.
  static func failure(
    _ status: Int, _ message: String, _ headers: [Header] = []
  ) -> HTTPResponse {
    struct Failure: Encodable { let error: String }
    return HTTPResponse(
      status: status,
      headers: commonHeaders + [
        Header("Content-Type", "application/json"), Header("Cache-Control", "no-store"),
      ] + headers,
      body: .bytes(JSON.encode(Failure(error: message)) + [0x0A]))
  }
}
