import Glibc

/// What this machine is called.
package enum Host {
  /// The host's name, as `hostname` prints it.
  package static var name: String {
    var buffer = [CChar](repeating: 0, count: 256)
    guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Where the number of a process names the same one: this boot of this machine, and the container
  /// that this process sees its processes in.
  package static var processSpace: String {
    var buffer = [CChar](repeating: 0, count: 256)
    let count = max(0, readlink("/proc/self/ns/pid", &buffer, buffer.count - 1))
    let space = String(
      decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let boot = RunDirectory.text(of: "/proc/sys/kernel/random/boot_id") ?? ""
    return "\(boot.split(separator: "\n").first ?? "") \(space)"
  }

  /// Cores this process may use.
  package static var cores: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

  /// The path of this program; `/proc/self/exe` where it cannot be read, or where the program has been
  /// replaced since: that still leads to the one that runs.
  package static var executable: String {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    let path = String(
      decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return path.isEmpty || path.hasSuffix(" (deleted)") ? "/proc/self/exe" : path
  }

  /// A bound endpoint as other nodes can dial it: a wildcard address becomes the address this
  /// machine has on the way to the server.
  static func reachable(_ bound: String, from server: String) -> String {
    for wildcard in ["tcp://0.0.0.0:", "tcp://[::]:", "tcp://*:"] where bound.hasPrefix(wildcard) {
      let port = bound.dropFirst(wildcard.count)
      return "tcp://\(address(towards: server)):\(port)"
    }
    return bound
  }

  /// The local address of a datagram socket connected to the server: no packet is sent, the
  /// routing table is asked.
  private static func address(towards server: String) -> String {
    guard server.hasPrefix("tcp://"), let colon = server.lastIndex(of: ":") else {
      return "127.0.0.1"
    }
    var host = String(server[server.index(server.startIndex, offsetBy: 6)..<colon])
    if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
    let port = String(server[server.index(after: colon)...])
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, port, &hints, &found) == 0, let first = found else { return name }
    defer { freeaddrinfo(found) }
    let descriptor = socket(first.pointee.ai_family, Int32(SOCK_DGRAM.rawValue), 0)
    guard descriptor >= 0 else { return name }
    defer { close(descriptor) }
    guard connect(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen) == 0 else {
      return name
    }
    var local = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    let code = withUnsafeMutablePointer(to: &local) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        getsockname(descriptor, address, &length) == 0
          ? getnameinfo(
            address, length, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) : -1
      }
    }
    guard code == 0 else { return name }
    let address = String(
      decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return address.contains(":") ? "[\(address)]" : address
  }
}
