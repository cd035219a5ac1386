/// Addresses as people type them.
enum Endpoint {
  /// Where a server on this machine listens if nothing else is said.
  static let standardServer = "tcp://127.0.0.1:5555"

  /// Of a socket, bytes: unix(7) has room for a zero behind it in 108.
  private static let longestPath = 107

  /// Refuses what cannot be an address before a socket is opened.
  ///
  /// - Parameter written: the option or variable it comes from.
  static func check(_ text: String, written: String, command: String) throws(UsageError) {
    let parts = text.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
    func fail(_ why: String) -> UsageError {
      UsageError(command: command, message: "\(written) \"\(text)\": \(why)")
    }
    guard parts.count == 2 else {
      throw fail("expected an address like tcp://host:5555")
    }
    guard ["tcp", "ipc"].contains(parts[0]) else {
      throw fail("\(parts[0]):// is not supported; use tcp://host:port or ipc://path")
    }
    guard parts[0] == "tcp" else {
      let bytes = parts[1].utf8.count
      guard bytes <= longestPath else {
        throw fail(
          "its path has \(bytes) bytes, a socket's at most \(longestPath): choose a shorter one")
      }
      return
    }
    guard let colon = parts[1].lastIndex(of: ":"), colon > parts[1].startIndex,
      let port = Int(parts[1][parts[1].index(after: colon)...]), (0...65_535).contains(port)
    else { throw fail("expected a host and a port, like tcp://host:5555") }
  }

  /// Whether only processes of this machine reach an address.
  static func isLocal(_ endpoint: String) -> Bool {
    guard endpoint.hasPrefix("tcp://") else { return true }
    let host = host(of: endpoint)
    if host == "localhost" || host == "lo" || host == "::1" { return true }
    let bytes = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
    return bytes.count == 4 && !bytes.contains(nil) && bytes[0] == 127
  }

  /// Whether an address stands for all of a machine's.
  static func isWildcard(_ endpoint: String) -> Bool {
    endpoint.hasPrefix("tcp://") && ["*", "0.0.0.0", "::"].contains(host(of: endpoint))
  }

  private static func host(of endpoint: String) -> String {
    let rest = endpoint.dropFirst("tcp://".count)
    guard let colon = rest.lastIndex(of: ":") else { return String(rest) }
    let host = rest[..<colon]
    return host.hasPrefix("[") && host.hasSuffix("]")
      ? String(host.dropFirst().dropLast()) : String(host)
  }

  /// Where to listen: without keys on this machine only, unless --insecure says otherwise.
  ///
  /// - Parameters:
  ///   - standard: where nothing is said: `open` for all, `local` for this machine.
  ///   - staysHere: whether those who would come are on this machine anyway.
  ///   - remedy: what encrypts.
  /// - Throws: `UsageError` in one line that says what to do.
  static func listening(
    _ arguments: ParsedArguments, standard: (open: String, local: String), isSecure: Bool,
    staysHere: Bool, remedy: String = "--secure"
  ) throws(UsageError) -> String {
    let command = arguments.command.name
    let mayBeOpen = isSecure || arguments.has("insecure")
    guard let given = arguments.string("listen") else {
      if mayBeOpen { return standard.open }
      guard staysHere else {
        throw UsageError(
          command: command,
          message: "would listen for other machines without encryption: give --key-file FILE or "
            + "--join TOKEN, or --insecure on a network you trust")
      }
      return standard.local
    }
    try check(given, written: arguments.label("listen"), command: command)
    guard mayBeOpen || isLocal(given) else {
      throw UsageError(
        command: command,
        message:
          "\(arguments.label("listen")) \"\(given)\" can be reached from other machines, and "
          + "nothing would be encrypted: give \(remedy), or --insecure on a network you trust")
    }
    return given
  }
}
