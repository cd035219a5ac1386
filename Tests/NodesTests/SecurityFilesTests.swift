import Foundation
import Synchronization
import Testing
import Transport

@testable import Nodes

/// Key files, the list of those let in, tokens, and what is told about strangers.
@Suite struct SecurityFilesTests {
  private let folder = NSTemporaryDirectory() + "crosscut-keys-\(UUID().uuidString)"
  private var keys: KeyDirectory { KeyDirectory(folder) }

  private func made() throws -> (directory: KeyDirectory, server: ServerKeyFile) {
    try keys.create()
    return (keys, try ServerKeyFile(path: keys.serverKey))
  }

  private func clean() { try? FileManager.default.removeItem(atPath: folder) }

  @Test func `a node's key names its server, which has it on the list`() throws {
    defer { clean() }
    let (directory, server) = try made()
    let node = try NodeKeyFile(path: directory.nodeKey("node"))
    #expect(node.server == server.keys.publicKey)
    let list = try AllowedKeys(path: directory.allowedKeys)
    #expect(list.standing(of: node.keys.publicKey) == .node(node.keys.publicKey, name: "node"))
    #expect(list.standing(of: server.cluster.publicKey) == nil)
    // Making them again changes nothing.
    try directory.create()
    #expect(try NodeKeyFile(path: directory.nodeKey("node")).keys.publicKey == node.keys.publicKey)
    #expect(throws: NodeError.self) { try directory.addNode("node") }
    #expect(throws: NodeError.self) { try directory.addNode("../node") }
  }

  @Test func `a list that changes is read again, and a broken one leaves the old one in force`()
    throws
  {
    defer { clean() }
    let (directory, _) = try made()
    let node = try NodeKeyFile(path: directory.nodeKey("node")).keys.publicKey
    let list = try AllowedKeys(path: directory.allowedKeys)
    try directory.addNode("second")
    let second = try NodeKeyFile(path: directory.nodeKey("second")).keys.publicKey
    #expect(list.standing(of: second) == .node(second, name: "second"))
    let text = try String(contentsOfFile: directory.allowedKeys, encoding: .utf8)
    func write(_ text: String) throws {
      try SecretFile.write(directory.allowedKeys, text, replacing: true)
    }
    try write(text + "nonsense\n")
    #expect(list.standing(of: node) != nil)
    #expect(list.trouble?.contains("line 6: expected") == true, "\(list.trouble ?? "")")
    try write(text.split(separator: "\n").filter { !$0.hasSuffix(" node") }.joined(separator: "\n"))
    #expect(list.standing(of: node) == nil)
    #expect(list.standing(of: second) != nil)
    #expect(list.trouble == nil)
  }

  @Test func `what a process of the same number left half written keeps no key from being made`()
    throws
  {
    defer { clean() }
    try FileManager.default.createDirectory(
      atPath: keys.nodes, withIntermediateDirectories: true)
    for path in [keys.nodeKey("node"), keys.allowedKeys, keys.serverKey] {
      try Data("hal".utf8).write(to: URL(fileURLWithPath: "\(path).\(getpid()).new"))
    }
    let (_, server) = try made()
    #expect(try NodeKeyFile(path: keys.nodeKey("node")).server == server.keys.publicKey)
    let names = try FileManager.default.subpathsOfDirectory(atPath: folder).sorted()
    #expect(names == ["allowed-keys", "nodes", "nodes/node.key", "server.key"])
  }

  /// A server reads it as a user of its own, or by a group; root adds to it by `crosscut token`.
  @Test func `a list that is written again keeps its owner, group and permissions`() throws {
    defer { clean() }
    let (directory, server) = try made()
    let path = directory.allowedKeys
    #expect(chmod(path, 0o640) == 0)
    let other: uid_t = geteuid() == 0 ? 12_345 : geteuid()
    #expect(chown(path, other, geteuid() == 0 ? 23_456 : getegid()) == 0)
    // As long as it is open nothing else is given its number.
    let old = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
    var before = stat()
    #expect(fstat(old.fileDescriptor, &before) == 0)
    _ = try JoinToken.issue(server, address: "tcp://h:1", seconds: 60, once: false)
    try directory.addNode("second")
    var after = stat()
    #expect(stat(path, &after) == 0)
    #expect(after.st_ino != before.st_ino)
    try old.close()
    #expect(after.st_mode & 0o777 == 0o640)
    #expect(after.st_uid == other && after.st_gid == before.st_gid)
    // A key that is made anew is its owner's alone.
    #expect(stat(directory.nodeKey("second"), &after) == 0)
    #expect(after.st_mode & 0o777 == 0o600 && after.st_uid == geteuid())
  }

  @Test func `a token holds for its time, and once if so issued`() throws {
    defer { clean() }
    let (directory, server) = try made()
    let many = try JoinToken.issue(server, address: "tcp://h:1", seconds: 60, once: false)
    let once = try JoinToken.issue(server, address: "tcp://h:1", seconds: 60, once: true)
    let first = try KeyPair.generate().publicKey
    let second = try KeyPair.generate().publicKey
    let list = try AllowedKeys(path: directory.allowedKeys)
    func refusal(_ key: PublicKey, _ token: PublicKey, _ list: AllowedKeys) -> String? {
      list.enrol([.init(key: key, token: token)])[0]?.message
    }
    #expect(refusal(first, once.keys.publicKey, list) == nil)
    let name = "by-token-\(once.keys.publicKey.short)"
    #expect(list.standing(of: first) == .node(first, name: name))
    #expect(list.standing(of: once.keys.publicKey) == nil)
    #expect(refusal(second, once.keys.publicKey, list) == AllowedKeys.expired)
    #expect(refusal(second, many.keys.publicKey, list) == nil)
    #expect(refusal(second, first, list) == AllowedKeys.expired)

    let later = Int(Date().timeIntervalSince1970) + 61
    let expired = try AllowedKeys(path: directory.allowedKeys) { later }
    #expect(expired.standing(of: many.keys.publicKey) == nil)
    #expect(refusal(first, many.keys.publicKey, expired) == AllowedKeys.expired)
    #expect(expired.standing(of: second) != nil)
    // Its time ends also for who does not look at the file again.
    let time = Mutex(later - 3600)
    let kept = try AllowedKeys(path: directory.allowedKeys, now: { time.withLock { $0 } })
    #expect(kept.standing(of: many.keys.publicKey, noOlderThan: .max) != nil)
    time.withLock { $0 = later }
    #expect(kept.standing(of: many.keys.publicKey, noOlderThan: .max) == nil)
  }

  @Test(
    arguments: [
      (1000, 0o100600, 1000, ""), (0, 0o100440, 10_001, ""), (1000, 0o100660, 1000, ""),
      (1001, 0o100600, 1000, "belongs to another user (1001)"), (1001, 0o100600, 0, ""),
      (0, 0o040755, 1000, ""), (0, 0o041777, 1000, ""), (1000, 0o042770, 1000, ""),
      (1001, 0o040700, 1000, "belongs to another user (1001)"),
      (1000, 0o040777, 1000, "can be written by everybody"),
      (0, 0o040777, 0, "can be written by everybody"),
      (1000, 0o101602, 1000, "can be written by everybody"),
    ] as [(uid_t, mode_t, uid_t, String)])
  func `who could put another list in its place is the server's user, or root`(
    owner: uid_t, mode: mode_t, user: uid_t, expected: String
  ) {
    let found = SecretFile.objection(to: "keys", owner: owner, mode: mode, user: user)
    #expect(expected.isEmpty ? found == nil : found?.contains(expected) == true, "\(found ?? "")")
  }

  @Test func `a folder of keys that everybody may write is refused, the server's and the list's`()
    throws
  {
    defer { clean() }
    let (directory, _) = try made()
    #expect(chmod(folder, 0o777) == 0)
    for read in [
      { _ = try ServerKeyFile(path: directory.serverKey) },
      { _ = try AllowedKeys(path: directory.allowedKeys) },
    ] as [() throws -> Void] {
      let error = #expect(throws: NodeError.self) { try read() }
      #expect(error?.message.contains("chmod o-w \(folder)") == true, "\(error?.message ?? "")")
    }
    // As /tmp is.
    #expect(chmod(folder, 0o1777) == 0)
    _ = try ServerSecurity(keyFile: directory.serverKey)
  }

  @Test func `where the file system has no locks, the list is changed without`() throws {
    defer { clean() }
    let (directory, _) = try made()
    let list = try AllowedKeys(path: directory.allowedKeys) {
      0
    } lock: { _ in
      errno = ENOSYS
      return -1
    }
    let key = try KeyPair.generate().publicKey
    try list.add(.node(key, name: "second"))
    #expect(list.standing(of: key) == .node(key, name: "second"))
  }

  @Test func `a token is one word that gives it back`() throws {
    let pair = try KeyPair.generate()
    let token = JoinToken(address: "tcp://[fe80::1]:5555", server: pair.publicKey, keys: pair)
    let again = try JoinToken(text: " \(token.text)\n")
    #expect(again.address == token.address)
    #expect(again.keys.secretHex == pair.secretHex)
    #expect(!"\(token)".contains(pair.secretHex))
    for text in ["", "x", String(token.text.dropLast(30)), token.text + " more"] {
      let error = #expect(throws: NodeError.self) { try JoinToken(text: text) }
      #expect(error?.message.contains(pair.secretHex) == false)
    }
  }

  @Test(arguments: [
    ("", "\"secret\""), ("kind node\nsecret 00\n", "\"secret\""), ("a b c\n", "not a key file"),
  ])
  func `a file that is no key is refused by name`(text: String, expected: String) throws {
    defer { clean() }
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let path = folder + "/x.key"
    try SecretFile.write(path, text, replacing: false)
    let error = #expect(throws: NodeError.self) { try NodeKeyFile(path: path) }
    #expect(error?.message.contains(path) == true)
    #expect(error?.message.contains(expected) == true, "\(error?.message ?? "")")
  }

  @Test func `a stranger is told of once, and many fill no log`() {
    var log = StrangerLog()
    #expect(
      log.note(.keyRefused, address: "10.0.0.9", now: 1)
        == "refused a connection from 10.0.0.9: its key is not in allowed-keys, or its token is "
        + "over")
    #expect(log.note(.keyRefused, address: "10.0.0.9", now: 2) == nil)
    #expect(log.note(.keyRefused, address: nil, now: 2) == nil)
    let lines = (0..<100).compactMap {
      log.note(.wrongKey, address: "10.0.1.\($0)", now: UInt64($0) + 3)
    }
    #expect(lines.count == 9)
    #expect(log.count == 103)
    let next = log.note(.wrongKey, address: "10.0.0.9", now: 61_000_000)
    #expect(next?.hasSuffix("; 91 more since the last such line") == true, "\(next ?? "")")
  }

  @Test func `of a stranger without an address is told soon, if nobody with one comes first`() {
    let line =
      "refused a connection from an unknown address: it does not encrypt as this node does (no "
      + "key, or one too many)"
    var log = StrangerLog()
    #expect(log.note(.securityMismatch, address: nil, now: 1_000) == nil)
    #expect(log.overdue(now: 500_999) == [])
    #expect(log.overdue(now: 501_000) == [line])
    // Once a minute.
    for _ in 0..<5 { #expect(log.note(.securityMismatch, address: nil, now: 600_000) == nil) }
    #expect(log.overdue(now: 59_000_000) == [])
    #expect(log.note(.securityMismatch, address: nil, now: 60_500_000) == nil)
    #expect(log.overdue(now: 60_999_999) == [])
    #expect(log.overdue(now: 61_000_001) == [line + "; 5 more since the last such line"])
    // Each reason for itself, and of two that are the same caller the one with the address.
    #expect(log.note(.wrongKey, address: nil, now: 62_000_000) == nil)
    #expect(log.note(.keyRefused, address: nil, now: 62_000_000) == nil)
    let named = log.note(.wrongKey, address: "10.0.0.9", now: 62_100_000)
    #expect(named?.contains("10.0.0.9: it expects another key") == true, "\(named ?? "")")
    let rest = log.overdue(now: 70_000_000)
    #expect(rest.count == 1 && rest[0].contains("an unknown address: its key"), "\(rest)")
    #expect(log.count == 10)
  }

  @Test func `strangers without an address fill no log either`() {
    var log = StrangerLog()
    var lines = 0
    for code in 0..<200 {
      let now = UInt64(code) * 1_000 + 1
      #expect(log.note(.protocolError("\(code)"), address: nil, now: now) == nil)
      lines += log.overdue(now: now).count
    }
    #expect(lines + log.overdue(now: 2_000_000).count == 10)
  }

  @Test func `a handshake that is hung up in is told of after two seconds and given up after ten`()
  {
    var watch = HandshakeWatch()
    let verdicts = [0, 1, 3, 4, 9, 11].map {
      watch.judge(.hungUp("Broken pipe"), now: 5 + UInt64($0) * 1_000_000)
    }
    #expect(verdicts == [.wait, .wait, .tell, .wait, .wait, .giveUp])
    watch.connected()
    #expect(watch.judge(.hungUp("Broken pipe"), now: 99_000_000) == .wait)
    #expect(watch.judge(.keyRefused, now: 99_000_000) == .giveUp)
  }
}
