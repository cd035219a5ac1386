import Foundation
import Messages
import Nodes
import Testing
import Transport
import Wire

/// Those who speak in a member's name: what they need for it, each view tells to everybody.
@Suite(.timeLimit(.minutes(30)))
struct ImpostorTests {
  private let scratch: Scratch
  private let context: Context

  init() throws {
    scratch = try Scratch()
    context = try Context()
  }

  private var keys: String { "\(scratch.path)/keys" }

  private func server(encrypts: Bool) throws -> (program: Program, address: String) {
    if encrypts {
      let made = try Program.run("keygen", "--out", keys, "--node", "gpu1", "--node", "gpu2")
      #expect(made.code == 0, "\(made.output)")
    }
    let program = try Program(
      ["server", "lenet5", "--run-dir", scratch.path, "--listen", "tcp://127.0.0.1:0"]
        + Player.mayBeSilent + (encrypts ? ["--key-file", "\(keys)/server.key"] : []))
    #expect(eventually { !scratch.address.isEmpty }, "\(program.output)")
    return (program, scratch.address)
  }

  /// By what a node's key lets in; `nil` without keys.
  private func dialing(_ name: String, _ encrypts: Bool) throws -> HubSecurity.Dialing? {
    guard encrypts else { return nil }
    let file = try NodeKeyFile(path: "\(keys)/nodes/\(name).key")
    return HubSecurity.Dialing(keys: file.keys, peer: file.server)
  }

  private func end(_ server: Program, _ players: [Player]) {
    for player in players { player.close() }
    context.terminate()
    server.send(SIGTERM)
    server.finish()
  }

  @Test(arguments: [true, false])
  func `nobody speaks as a member but over its own connections`(encrypts: Bool) throws {
    let (server, address) = try server(encrypts: encrypts)
    let member = try Player(context, address, try dialing("gpu1", encrypts), incarnation: 7)
    let impostor = try Player(context, address, try dialing("gpu2", encrypts), incarnation: 8)
    // With the member's own key, but another process.
    let neighbour = try Player(context, address, try dialing("gpu1", encrypts), incarnation: 9)
    defer { end(server, [member, impostor, neighbour]) }
    try member.joins()
    let who = encrypts ? [", gpu2 (key ", ", gpu1 (key "] : [": ", ": "]
    for (player, name) in zip([impostor, neighbour], who) {
      try player.say(.leave(Leave(reason: "nonsense")), as: member)
      // A second welcome would make its connection the member's.
      try player.join(as: member)
      try player.say(.statusRequest)
      #expect(
        player.waits { player.heard.contains { if case .statusReply = $0 { true } else { false } } }
      )
      #expect(player.node.value == 0)
      #expect(
        player.waits {
          server.output.split(separator: "\n").contains {
            $0.contains("refused a message from 127.0.0.1\(name)")
              && $0.hasSuffix("it speaks as worker 0, which joined by another connection")
          }
        }, "\(server.output)")
    }
    #expect(!server.output.contains("worker 0 leaves"), "\(server.output)")
    // Whose name it is can say it over either of its connections.
    try member.say(.leave(Leave(reason: "asked to")), overBulk: true)
    #expect(
      member.waits { server.output.contains("worker 0 leaves: asked to") }, "\(server.output)")
  }

  @Test func `a key with which the protocol is broken again and again is locked out`() throws {
    let (server, address) = try server(encrypts: true)
    var players: [Player] = []
    func player(_ name: String) throws -> Player {
      let player = try Player(
        context, address, try dialing(name, true), incarnation: UInt64(players.count + 1))
      players.append(player)
      return player
    }
    defer { end(server, players) }
    let member = try player("gpu1")
    try member.joins()
    for _ in 0..<3 {
      // Each time another process of another host, as it says.
      let impostor = try player("gpu2")
      try impostor.joins()
      try impostor.say(.leave(Leave(reason: "nonsense")), as: member)
      #expect(impostor.waits { !impostor.refusals.isEmpty }, "\(server.output)")
    }
    #expect(
      eventually {
        server.output.contains(
          "worker 1 is gone: it breaks the protocol: it speaks as worker 0, which joined by")
      }, "\(server.output)")
    let again = try player("gpu2")
    try again.join()
    #expect(again.waits { !again.refusals.isEmpty }, "\(server.output)")
    #expect(again.refusals == ["it has broken the protocol 3 times"])
    // Nobody else pays for it.
    try player("gpu1").joins()
  }
}
