package import Transport

/// The server's key file: who it is, and the key that its members share.
package struct ServerKeyFile: Sendable {
  package let path: String
  /// What the server proves who it is with.
  package let keys: KeyPair
  /// What members know one another by: FC nodes listen with it, members dial them with it. The
  /// server hands it out to those it lets in.
  package let cluster: KeyPair

  /// - Throws: `NodeError` that names the file.
  package init(path: String) throws(NodeError) {
    try SecretFile.checkOwner(of: path)
    let entries = try KeyText.read(path)
    guard entries["kind"] == "server" else {
      throw NodeError(
        "key file \(path): a key of a \(entries["kind"] ?? "?"), not of a server; the server's "
          + "lies beside allowed-keys, where crosscut keygen has put it")
    }
    self.path = path
    keys = try KeyText.pair(entries, "secret", path)
    cluster = try KeyText.pair(entries, "cluster-secret", path)
  }

  /// The list of those who are let in, in the same folder.
  package var allowedKeysPath: String { Folders.parent(of: path) + "/allowed-keys" }
}

/// The key file of whoever connects: a worker, an FC node, `crosscut status`.
package struct NodeKeyFile: Sendable {
  package let path: String
  package let keys: KeyPair
  /// The only one that may answer.
  package let server: PublicKey

  /// Reads a node's key, or a server's: who has that may do anything.
  ///
  /// - Throws: `NodeError` that names the file.
  package init(path: String) throws(NodeError) {
    let entries = try KeyText.read(path)
    self.path = path
    keys = try KeyText.pair(entries, "secret", path)
    switch entries["kind"] {
    case "server": server = keys.publicKey
    case "node":
      guard let key = entries["server"].flatMap({ PublicKey(hex: $0) }) else {
        throw NodeError("key file \(path): \"server\" is missing or is no public key")
      }
      server = key
    default:
      throw NodeError("key file \(path): kind \"\(entries["kind"] ?? "")\" is unknown")
    }
  }
}

/// The form of key files: a line an entry, a name and a value; `#` begins a comment.
enum KeyText {
  static func server(_ keys: KeyPair, cluster: KeyPair) -> String {
    """
    # Crosscut: the key of a server. Secret: who has it can be the server. It stays on its machine.
    kind server
    public \(keys.publicKey)
    secret \(keys.secretHex)
    cluster-secret \(cluster.secretHex)

    """
  }

  static func node(_ keys: KeyPair, server: PublicKey) -> String {
    """
    # Crosscut: the key of a node. Secret: who has it can join the cluster, with --key-file.
    kind node
    public \(keys.publicKey)
    secret \(keys.secretHex)
    server \(server)

    """
  }

  static func read(_ path: String) throws(NodeError) -> [String: String] {
    let text = try SecretFile.read(path)
    var entries: [String: String] = [:]
    for line in text.split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
      let words = line.split(separator: " ", omittingEmptySubsequences: true)
      guard words.count == 2 else {
        // Not quoted: it may be a secret.
        throw NodeError("key file \(path): not a key file of crosscut keygen")
      }
      entries[String(words[0])] = String(words[1])
    }
    return entries
  }

  static func pair(
    _ entries: [String: String], _ name: String, _ path: String
  ) throws(NodeError) -> KeyPair {
    guard let pair = entries[name].flatMap({ KeyPair(secretHex: $0) }) else {
      throw NodeError("key file \(path): \"\(name)\" is missing or is no key")
    }
    return pair
  }
}
