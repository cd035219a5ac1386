import Messages

/// Where an FC node or a server shard says that it can be dialed: every worker does so.
enum JoinEndpoint {
  /// What is wrong with it; `nil` if nothing is.
  ///
  /// - Parameter isLocal: whether it comes from this machine: then it may be one of its paths.
  static func objection(to join: Join, isLocal: Bool) -> String? {
    guard join.role.holdsParameters, !isDialed(join.endpoint, isLocal: isLocal) else { return nil }
    return "others cannot dial it at \"\(join.endpoint)\": expected tcp://host:port"
  }

  private static func isDialed(_ endpoint: String, isLocal: Bool) -> Bool {
    if isLocal, endpoint.hasPrefix("ipc://") || endpoint.hasPrefix("inproc://") { return true }
    guard endpoint.hasPrefix("tcp://"), let colon = endpoint.lastIndex(of: ":") else {
      return false
    }
    var host = endpoint[..<colon].dropFirst("tcp://".count)
    let port = endpoint[endpoint.index(after: colon)...]
    guard port.allSatisfy({ $0.isASCII && $0.isNumber }), UInt16(port).map({ $0 > 0 }) ?? false
    else {
      return false
    }
    var letters = "-._"
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
      // An IPv6 address may name the interface: fe80::1%eth0.
      letters += ":%"
    }
    return (1...255).contains(host.utf8.count)
      && host.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) || letters.contains($0) }
  }
}
