import Glibc

/// IP addresses at the ends of connections, as text.
enum PeerAddress {
  /// The IP address at one end, `nil` for a connection that is closed already or has none.
  static func at(
    _ descriptor: Int32,
    _ name: (Int32, UnsafeMutablePointer<sockaddr>?, UnsafeMutablePointer<socklen_t>?) -> Int32
  ) -> String? {
    var address = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    let code = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        name(descriptor, address, &length) == 0
          ? getnameinfo(address, length, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) : -1
      }
    }
    guard code == 0, address.ss_family != sa_family_t(AF_UNIX) else { return nil }
    return Self.text(
      String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
  }

  /// An address as it is written: an IPv4 one on a socket for both families without what marks it.
  /// `nil` for what ZeroMQ writes of a process at the other end of an ipc connection,
  /// "localhost:0:0:11661": no IP address has such letters.
  static func text(_ name: String) -> String? {
    guard !name.isEmpty, !name.hasPrefix("localhost:") else { return nil }
    return name.hasPrefix("::ffff:") ? String(name.dropFirst(7)) : name
  }
}
