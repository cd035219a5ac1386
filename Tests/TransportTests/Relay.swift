import Glibc
import Testing

/// A piece of network between hubs: what it is given at one end comes out at the other, as much of
/// it as is wanted.
final class Relay {
  /// Where to dial instead of the hub behind it.
  let endpoint: String
  /// Bytes that may still pass on any connection, in either direction.
  var allowance = Int.max
  /// Bytes of those that may pass back to who dialed.
  var allowanceBack = Int.max

  private let listener: Int32
  private let target: UInt16
  /// The descriptors of who dialed and of the connection made for it, one after the other.
  private var ends: [Int32] = []
  /// Connections to the hub behind it whose other end is gone.
  private var stranded: [Int32] = []
  /// What a descriptor's peer has not taken yet.
  private var waiting: [Int32: [UInt8]] = [:]

  /// - Parameter target: "tcp://127.0.0.1:5555".
  init(to target: String) throws {
    self.target = try #require(target.split(separator: ":").last.flatMap { UInt16($0) })
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = Self.loopback(port: 0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &address) { [listener] pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && listen(listener, 8) == 0
          ? getsockname(listener, $0, &length) : -1
      }
    }
    try #require(code == 0)
    endpoint = "tcp://127.0.0.1:\(UInt16(bigEndian: address.sin_port))"
    _ = fcntl(listener, F_SETFL, O_NONBLOCK)
  }

  deinit {
    for end in ends + stranded { close(end) }
    close(listener)
  }

  private static func loopback(port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
  }

  /// Takes who dials, and passes on what may pass.
  func step() {
    while case let dialed = accept(listener, nil, nil), dialed >= 0 {
      let made = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      var address = Self.loopback(port: target)
      _ = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(made, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      ends += [dialed, made]
    }
    for index in ends.indices where ends[index] >= 0 { pass(from: index) }
    ends.removeAll { $0 < 0 }
  }

  /// Resets all connections at the end of who dialed; the other end hears of it, or nothing any more:
  /// so does a network that has forgotten a connection.
  func cut(bothEnds: Bool) {
    for index in stride(from: 0, to: ends.count, by: 2) where ends[index] >= 0 {
      var reset = linger(l_onoff: 1, l_linger: 0)
      for end in [ends[index]] + (bothEnds ? [ends[index + 1]] : []) {
        setsockopt(end, SOL_SOCKET, SO_LINGER, &reset, socklen_t(MemoryLayout.size(ofValue: reset)))
        close(end)
        waiting[end] = nil
      }
      if !bothEnds { stranded.append(ends[index + 1]) }
      (ends[index], ends[index + 1]) = (-1, -1)
    }
  }

  private func pass(from index: Int) {
    let (source, sink) = (ends[index], ends[index ^ 1])
    var bytes = [UInt8](repeating: 0, count: 65536)
    let isBack = index % 2 == 1
    while min(allowance, isBack ? allowanceBack : .max) > 0 {
      let most = min(bytes.count, allowance, isBack ? allowanceBack : .max)
      var left = waiting.removeValue(forKey: source) ?? []
      if left.isEmpty {
        let count = recv(source, &bytes, most, Int32(MSG_DONTWAIT))
        guard count != 0 else { return hangUp(index) }
        guard count > 0 else { return errno == EAGAIN ? () : hangUp(index) }
        left = Array(bytes[..<count])
        allowance -= count
        if isBack { allowanceBack -= count }
      }
      let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
      let sent = send(sink, left, left.count, flags)
      guard sent >= 0 || errno == EAGAIN else { return hangUp(index) }
      guard sent == left.count else {
        waiting[source] = Array(left.dropFirst(max(0, sent)))
        return
      }
    }
  }

  private func hangUp(_ index: Int) {
    for end in [index, index ^ 1] {
      waiting[ends[end]] = nil
      close(ends[end])
      ends[end] = -1
    }
  }
}
