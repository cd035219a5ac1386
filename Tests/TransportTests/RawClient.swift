import Glibc
import Testing

/// Somebody who speaks ZMTP by himself, as no client of libzmq would.
final class RawClient {
  private let descriptor: Int32

  /// - Parameters:
  ///   - endpoint: "tcp://127.0.0.1:5555".
  ///   - last: the last byte of the address in 127.0.0.0/24 that it dials from.
  init(of endpoint: String, from last: UInt32 = 1) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    let port = try #require(endpoint.split(separator: ":").last.flatMap { UInt16($0) })
    try #require(Self.call(bind, descriptor, last, 0) == 0)
    try #require(Self.call(connect, descriptor, 1, port) == 0)
  }

  private static func call(
    _ function: (Int32, UnsafePointer<sockaddr>?, socklen_t) -> Int32, _ descriptor: Int32,
    _ last: UInt32, _ port: UInt16
  ) -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = (0x7F00_0000 + last).bigEndian
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        function(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  /// As a DEALER without keys, of ZMTP 3.1.
  func shakeHands(as name: String = "stranger") throws {
    let signature: [UInt8] = [0xFF] + [UInt8](repeating: 0, count: 8) + [0x7F]
    let mechanism = Array("NULL".utf8) + [UInt8](repeating: 0, count: 16)
    send(signature + [3, 1] + mechanism + [UInt8](repeating: 0, count: 32))
    try receive(64)
    let property =
      property("Socket-Type", "DEALER") + property("Identity", name)
      + property("User-Id", "node of another")
    let ready: [UInt8] = [5] + Array("READY".utf8) + property
    send([4, UInt8(ready.count)] + ready)
    // A command's head, then the rest of it.
    let head = try receive(2)
    try receive(Int(head[1]))
  }

  private func property(_ name: String, _ value: String) -> [UInt8] {
    [UInt8(name.utf8.count)] + Array(name.utf8) + [0, 0, 0, UInt8(value.utf8.count)]
      + Array(value.utf8)
  }

  func send(_ bytes: [UInt8]) {
    #expect(Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count)
  }

  @discardableResult private func receive(_ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    try #require(recv(descriptor, &bytes, count, Int32(MSG_WAITALL)) == count)
    return bytes
  }

  /// Whether the other end has ended the connection.
  var isCutOff: Bool {
    var byte: UInt8 = 0
    return recv(descriptor, &byte, 1, 0) <= 0
  }

  func close() { Glibc.close(descriptor) }
}
