import Glibc
package import Transport

/// What a newcomer needs to join: where the server is, what its key is, and a key of its own for
/// long enough to be given a better one. Secret.
package struct JoinToken: Sendable, CustomStringConvertible {
  package let address: String
  package let server: PublicKey
  package let keys: KeyPair

  private static let prefix = "crosscut-join-1"

  package init(address: String, server: PublicKey, keys: KeyPair) {
    self.address = address
    self.server = server
    self.keys = keys
  }

  /// Reads what `text` gives; spaces and line ends around it do not matter.
  ///
  /// - Throws: `NodeError` that does not quote the token.
  package init(text: String) throws(NodeError) {
    let words = text.split(whereSeparator: \.isWhitespace)
    let parts = (words.first ?? "").split(
      separator: ".", maxSplits: 3, omittingEmptySubsequences: false)
    guard words.count == 1, parts.count == 4, parts[0] == Self.prefix,
      let server = PublicKey(hex: parts[1]), let keys = KeyPair(secretHex: parts[2]),
      !parts[3].isEmpty
    else {
      throw NodeError(
        "this is no token, or not all of it: crosscut token prints one, a line that begins with "
          + "\(Self.prefix).")
    }
    self.init(address: String(parts[3]), server: server, keys: keys)
  }

  /// The token in one word.
  package var text: String { "\(Self.prefix).\(server).\(keys.secretHex).\(address)" }

  package var description: String { "token \(keys.publicKey.short) for \(address)" }

  /// A new token, put on the server's list.
  ///
  /// - Parameters:
  ///   - seconds: how long it holds.
  ///   - once: whether it is used up by the first that joins with it.
  package static func issue(
    _ file: ServerKeyFile, address: String, seconds: Int, once: Bool
  ) throws(NodeError) -> JoinToken {
    let list = try AllowedKeys(path: file.allowedKeysPath)
    let keys = try KeyDirectory.generate()
    let name = "token-\(keys.publicKey.short)"
    try list.add(.token(keys.publicKey, name: name, until: time(nil) + seconds, once: once))
    return JoinToken(address: address, server: file.keys.publicKey, keys: keys)
  }
}
