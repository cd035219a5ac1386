import Glibc

/// A client on a bare socket, so that a test can also be a bad one.
struct HTTPClient: ~Copyable {
  private let descriptor: Int32

  init(port: UInt16) {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let code = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    precondition(code == 0, "no connection to port \(port)")
    var patience = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(descriptor) }

  /// Sends; a server that has hung up is no failure of the test.
  func send(_ text: String) {
    let bytes = Array(text.utf8)
    _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }

  /// Reads until `isEnough` or the end of the connection.
  func read(until isEnough: (String) -> Bool = { _ in false }) -> String {
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while !isEnough(String(decoding: text, as: UTF8.self)) {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      guard count > 0 else { break }
      text += buffer[..<count]
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// Whether the server hangs up on one who says a little more each second, so that silence is not
  /// the reason; false after 20 s in which it did not.
  func isHungUpOn() -> Bool {
    for _ in 0..<20 {
      var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      if poll(&entry, 1, 1000) > 0 {
        var byte: UInt8 = 0
        let count = recv(descriptor, &byte, 1, 0)
        // What was sent and never read makes it a reset.
        return count == 0 || count < 0 && errno == ECONNRESET
      }
      send("x")
    }
    return false
  }

  /// One request on a connection of its own; the whole answer.
  static func get(_ path: String, port: UInt16, _ headers: String = "") -> String {
    let client = HTTPClient(port: port)
    client.send(
      "GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\(headers)\r\n")
    return client.read()
  }
}
