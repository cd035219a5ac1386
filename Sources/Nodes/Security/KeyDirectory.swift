import Glibc
import Transport

/// A folder of keys as `crosscut keygen` makes it: `server.key`, `allowed-keys`, and
/// `nodes/NAME.key` for each machine.
package struct KeyDirectory: Hashable, Sendable {
  package let path: String

  package init(_ path: String) { self.path = path }

  /// The folder of a server's key, wherever that is to be.
  ///
  /// - Throws: `NodeError` for a name that the key does not have in such a folder.
  package init(ofServerKey file: String) throws(NodeError) {
    self.init(Folders.parent(of: file))
    guard file.hasSuffix("server.key"), file == serverKey || file == "server.key" else {
      throw NodeError("a server's key that is to be made is called server.key, not \(file)")
    }
  }

  package var serverKey: String { path + "/server.key" }
  package var allowedKeys: String { path + "/allowed-keys" }
  package var nodes: String { path + "/nodes" }

  /// The key file of a node.
  package func nodeKey(_ name: String) -> String { "\(nodes)/\(name).key" }

  /// Whether there is a server's key.
  package var exists: Bool { access(serverKey, F_OK) == 0 }

  /// Makes the folder with a new server's key and one node's; leaves alone what is there.
  ///
  /// The server's key comes last: who sees it sees all.
  ///
  /// - Throws: `NodeError` that names what cannot be written.
  package func create(node name: String = Self.firstNode) throws(NodeError) {
    guard !exists else { return }
    let cluster = try Self.generate()
    let server = try Self.generate()
    try makeFolders()
    let node = try Self.generate()
    unlink(nodeKey(name))
    try SecretFile.write(
      nodeKey(name), KeyText.node(node, server: server.publicKey), replacing: false)
    try SecretFile.write(
      allowedKeys,
      AllowedKeys.header + AllowedKeys.Entry.node(node.publicKey, name: name).line + "\n",
      replacing: true)
    try SecretFile.write(serverKey, KeyText.server(server, cluster: cluster), replacing: false)
  }

  /// Makes a key for another node and puts it on the list.
  ///
  /// - Throws: `NodeError`, also if there is a node of that name.
  package func addNode(_ name: String) throws(NodeError) {
    guard Self.isName(name) else {
      throw NodeError("\"\(name)\" is no name for a node: letters, digits, dot, dash, underscore")
    }
    let server = try ServerKeyFile(path: serverKey)
    let list = try AllowedKeys(path: allowedKeys)
    try makeFolders()
    let keys = try Self.generate()
    guard access(nodeKey(name), F_OK) != 0 else {
      throw NodeError("\(nodeKey(name)) is there already")
    }
    try SecretFile.write(
      nodeKey(name), KeyText.node(keys, server: server.keys.publicKey), replacing: false)
    try list.add(.node(keys.publicKey, name: name))
  }

  /// The node whose key is made with the server's.
  package static let firstNode = "node"

  static func isName(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= 64 && !text.hasPrefix(".")
      && text.utf8.allSatisfy {
        (0x61...0x7a).contains($0 | 0x20) || (0x30...0x39).contains($0) || $0 == 0x2d || $0 == 0x2e
          || $0 == 0x5f
      }
  }

  private func makeFolders() throws(NodeError) {
    // A volume is there, in a folder where nothing may be made.
    if access(path, F_OK) != 0 { _ = try RunDirectory(Folders.parent(of: path)) }
    for folder in [path, nodes] {
      guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
        throw NodeError("cannot make \(folder): \(SecretFile.reason())")
      }
    }
  }

  static func generate() throws(NodeError) -> KeyPair {
    do { return try KeyPair.generate() } catch { throw NodeError("\(error)") }
  }
}
