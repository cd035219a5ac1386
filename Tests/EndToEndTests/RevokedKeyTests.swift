import Foundation
import Messages
import Nodes
import Testing
import Transport

/// Keys and tokens that do not hold any more: what their connections can still do, which is nothing.
@Suite(.timeLimit(.minutes(10)))
struct RevokedKeyTests {
  private let scratch: Scratch
  private let context: Context

  init() throws {
    scratch = try Scratch()
    context = try Context()
  }

  private var keys: KeyDirectory { KeyDirectory("\(scratch.path)/keys") }

  private func server() throws -> (program: Program, address: String) {
    let made = try Program.run(
      "keygen", "--out", keys.path, "--node", "gpu1", "--node", "gpu2", "--node", "gpu3")
    #expect(made.code == 0, "\(made.output)")
    let program = try Program(
      ["server", "lenet5", "--run-dir", scratch.path, "--listen", "tcp://127.0.0.1:0"]
        + Player.mayBeSilent + ["--key-file", keys.serverKey])
    #expect(eventually { !scratch.address.isEmpty }, "\(program.output)")
    return (program, scratch.address)
  }

  private func player(
    _ name: String, _ address: String, incarnation: UInt64
  ) throws -> Player {
    let file = try NodeKeyFile(path: keys.nodeKey(name))
    return try Player(
      context, address, HubSecurity.Dialing(keys: file.keys, peer: file.server),
      incarnation: incarnation)
  }

  private func end(_ server: Program, _ players: [Player]) {
    for player in players { player.close() }
    context.terminate()
    server.send(SIGTERM)
    server.finish()
  }

  /// Changes the list as an editor does, in place.
  private func edit(_ change: (String) -> String) throws {
    let text = try String(contentsOfFile: keys.allowedKeys, encoding: .utf8)
    try change(text).write(toFile: keys.allowedKeys, atomically: false, encoding: .utf8)
  }

  private static let away = "its key is not in allowed-keys any more"

  @Test func `a key that is struck off the list ends its connections and its members`() throws {
    let (server, address) = try server()
    let member = try player("gpu1", address, incarnation: 1)
    let others = try (2...6).map { try player("gpu2", address, incarnation: UInt64($0)) }
    let bystander = try player("gpu3", address, incarnation: 7)
    defer { end(server, [member, bystander] + others) }
    try member.joins()
    try bystander.joins()
    for other in others { try other.asksForStatus() }
    try edit { text in
      text.split(separator: "\n").filter { !$0.hasSuffix(" gpu1") && !$0.hasSuffix(" gpu2") }
        .map { $0 + "\n" }.joined()
    }
    // The member says nothing: it is put out by itself, which shows that the list has been read.
    #expect(
      member.waits { member.refusals.contains(Self.away) }, "\(server.output)")
    #expect(
      eventually { server.output.contains("worker 0 is gone: \(Self.away)") }, "\(server.output)")
    try others[0].say(.commandRequest(.stop(reason: "evil")))
    try others[1].say(.logRequest(LogRequest(node: .server, after: 0)))
    try others[2].say(.statusRequest)
    try others[3].join()
    others[4].askForKey()
    // The first time the list may have been read while it was written anew.
    #expect(others[4].waits { others[4].words.count >= 3 }, "\(server.output)")
    poll(nil, 0, 1_100)
    try others[3].join()
    for other in others[..<4] {
      #expect(
        other.waits { other.refusals.contains { $0.hasPrefix(Self.away) } }, "\(other.heard)")
    }
    #expect(others[4].waits { others[4].words.count >= 3 }, "\(server.output)")
    #expect(others[4].words[1] == "no")
    #expect(others[4].words[2].hasPrefix(Self.away))
    for other in others {
      #expect(
        !other.heard.contains {
          switch $0 {
          case .commandReply, .logReply, .welcome: true
          default: false
          }
        })
    }
    #expect(!server.output.contains("evil"), "\(server.output)")
    // Who is on the list goes on.
    try bystander.asksForStatus()
    #expect(bystander.refusals.isEmpty)
  }

  @Test func `a token that is over has no rights any more, and fills no log while it holds`() throws
  {
    let (server, address) = try server()
    let token = try JoinToken.issue(
      try ServerKeyFile(path: keys.serverKey), address: address, seconds: 3600, once: false)
    let dialing = HubSecurity.Dialing(keys: token.keys, peer: token.server)
    let player = try Player(context, address, dialing, incarnation: 1)
    let second = try Player(context, address, dialing, incarnation: 2)
    defer { end(server, [player, second]) }
    try second.asksForStatus()
    // Refused each time, told of a few times; who does not stop then is cut off.
    for _ in 0..<4 {
      for _ in 0..<50 { try player.say(.commandRequest(.stop(reason: "evil"))) }
      try player.asksForStatus()
    }
    let lines = server.output.split(separator: "\n").filter {
      $0.contains("refused an operator's command")
    }
    // Ten a minute, and this may take some.
    #expect((1...100).contains(lines.count), "\(lines.count) lines")
    // One key a connection.
    player.askForKey(enrolling: try KeyPair.generate().publicKey)
    #expect(player.waits { player.words.count >= 3 })
    #expect(player.words[1] == "ok")
    let before = try String(contentsOfFile: keys.allowedKeys, encoding: .utf8)
    #expect(before.split(separator: "\n").count { $0.contains(" by-token-") } == 1)
    player.askForKey(enrolling: try KeyPair.generate().publicKey)
    try player.asksForStatus()
    try edit { $0.replacing(#/until=\d+/#, with: "until=1") }
    #expect(
      second.waits {
        try? second.say(.statusRequest)
        return second.refusals.contains { $0.hasPrefix(Self.away) }
      }, "\(server.output)")
    let after = try String(contentsOfFile: keys.allowedKeys, encoding: .utf8)
    #expect(after.split(separator: "\n").count { $0.contains(" by-token-") } == 1, "\(after)")
  }
}
