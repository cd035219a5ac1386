import Glibc

/// Where the HTTP server listens: `[HOST:]PORT`, by itself on loopback.
package struct HTTPAddress: Hashable, Sendable, CustomStringConvertible {
  /// A name or number; without the brackets of an IPv6 address.
  package var host: String
  /// 0: one that the system picks.
  package var port: UInt16

  package init(host: String = "127.0.0.1", port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Reads `8080`, `0.0.0.0:8080`, `[::1]:8080` or `*:8080`.
  ///
  /// - Throws: `ObservabilityError` that says what was expected.
  package init(_ text: String) throws(ObservabilityError) {
    let expected = ObservabilityError(
      "\"\(Format.printable(text))\": expected [HOST:]PORT, like 8080 or 0.0.0.0:8080")
    let colon = text.lastIndex(of: ":")
    let port = colon.map { text[text.index(after: $0)...] } ?? text[...]
    guard let number = UInt16(port), port.allSatisfy(\.isNumber) else { throw expected }
    var host = colon.map { String(text[..<$0]) } ?? "127.0.0.1"
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = String(host.dropFirst().dropLast())
    } else if host.contains(":") {
      throw ObservabilityError(
        "\"\(Format.printable(text))\": an IPv6 address stands in brackets, like [::1]:8080")
    }
    guard !host.isEmpty, !host.contains("/") else { throw expected }
    self.init(host: host == "*" ? "0.0.0.0" : host, port: number)
  }

  /// "127.0.0.1:8080".
  package var description: String { "\(host.contains(":") ? "[\(host)]" : host):\(port)" }

  /// Whether only this machine reaches it.
  package var isLoopback: Bool {
    host == "localhost" || host == "::1" || host.hasPrefix("127.")
  }

  /// What to type into a browser on this machine.
  package var url: String {
    var shown = self
    if host == "0.0.0.0" { shown.host = "127.0.0.1" }
    if host == "::" { shown.host = "::1" }
    return "http://\(shown)/"
  }

  /// Opens a socket that listens there.
  ///
  /// - Returns: the socket, and the address with the port it really has.
  /// - Throws: `ObservabilityError` that says why it cannot listen and what to do.
  func listen() throws(ObservabilityError) -> (descriptor: Int32, bound: HTTPAddress) {
    var hints = addrinfo()
    hints.ai_flags = AI_PASSIVE
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, "\(port)", &hints, &found)
    guard code == 0, let first = found else {
      throw ObservabilityError(
        "--http \(self): \(host) is no address of this machine: "
          + String(cString: gai_strerror(code)).lowercased())
    }
    defer { freeaddrinfo(found) }
    let descriptor = socket(
      first.pointee.ai_family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw failure() }
    var yes: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    guard bind(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen) == 0,
      Glibc.listen(descriptor, 64) == 0
    else {
      let error = failure()
      close(descriptor)
      throw error
    }
    return (descriptor, HTTPAddress(host: host, port: Self.port(of: descriptor) ?? port))
  }

  private func failure() -> ObservabilityError {
    switch errno {
    case EADDRINUSE:
      ObservabilityError(
        "--http \(self): another program has port \(port): choose another one, or 0 for any")
    case EACCES:
      ObservabilityError("--http \(self): ports below 1024 are root's: choose a higher one")
    default:
      ObservabilityError("--http \(self): \(String(cString: strerror(errno)).lowercased())")
    }
  }

  private static func port(of descriptor: Int32) -> UInt16? {
    var address = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let code = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        getsockname(descriptor, $0, &length)
      }
    }
    guard code == 0 else { return nil }
    // The port stands in the same place in both families.
    return withUnsafeBytes(of: &address) {
      UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self))
    }
  }
}
