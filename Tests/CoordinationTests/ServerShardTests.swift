import Messages
import Network
import Testing

@testable import Coordination

/// The coordinator and a worker of a cluster with two parameter servers: the coordinator owns chunk
/// 0, shard 1 chunks 1 and 2.
@Suite struct ServerShardTests {
  /// Workers are nodes 1 and 2, FC nodes 3 and 4, the shard is node 5.
  private static func started() -> ServerScene {
    var scene = ServerScene(ShardScene.plan())
    for _ in 0..<2 { _ = scene.join(.worker) }
    for _ in 0..<2 { _ = scene.join(.fc) }
    _ = scene.join(.shard)
    for node in 1...5 { _ = scene.beat(node, dataset: node < 3 ? Fixture.facts : nil) }
    _ = scene.finishAll()
    return scene
  }

  @Test func `the run waits for its shards, and a shard has a rank from 1`() {
    var scene = ServerScene(ShardScene.plan())
    for _ in 0..<2 { _ = scene.join(.worker) }
    for _ in 0..<2 { _ = scene.join(.fc) }
    for node in 1...4 { _ = scene.beat(node) }
    #expect(scene.core.state == .gathering)
    #expect(scene.waits == ["1 more server shard: to join"])
    #expect(scene.join(.shard).contains("welcome node 5"))
    #expect(scene.core.membership[NodeID(5)]?.name == NodeName(.shard, 1))
    #expect(scene.beat(5).contains("view 1 at turn 0 -> node 5"))
    #expect(scene.core.view?.shards.map(\.name) == [NodeName(.shard, 1)])
    #expect(
      scene.join(.shard) == ["refuse 600: all 2 server shards are taken"])
    var alone = ServerScene()
    #expect(
      alone.join(.shard) == [
        "refuse 100: the run has one parameter server: cluster.serverShards is 1"
      ])
  }

  @Test func `a turn is committed once its own chunks and every shard have stepped`() {
    var scene = Self.started()
    _ = scene.push(0, from: 1, turn: 0)
    #expect(
      scene.waits == [
        "shard 1: its share of the parameters, turn 0",
        "worker 1: gradient of conv1 chunk 0, turn 0",
      ])
    _ = scene.push(0, from: 2, turn: 0)
    _ = scene.finishAll()
    #expect(scene.core.turn == 0)
    let said = scene.receive(.applied(Applied(turn: 0)), from: 5)
    #expect(said.prefix(2) == ["commit step 0", "committed turn 0"])
    #expect(said.contains("advance to 1 -> node 5"))
    // Not twice, not of another turn, from nobody else; and no chunk of another server.
    _ = scene.receive(.applied(Applied(turn: 0)), from: 5)
    _ = scene.receive(.applied(Applied(turn: 2)), from: 5)
    _ = scene.receive(.applied(Applied(turn: 1)), from: 3)
    _ = scene.push(1, from: 1, turn: 1)
    #expect(scene.core.droppedMessages[.stale] == 1)
    #expect(scene.core.droppedMessages[.future] == 1)
    #expect(scene.core.droppedMessages[.unexpected] == 1)
    #expect(scene.core.droppedMessages[.wrongSize] == 1)
  }

  @Test func `a shard that dies sends everybody back, and the others wait for another`() {
    var scene = Self.started()
    let said = scene.loseConnection(5)
    #expect(said.contains("roll back to 0 steps"))
    #expect(said.contains("restore 1 after 0 steps, initial -> node 3"))
    #expect(scene.core.state == .paused)
    #expect(
      scene.notes.contains {
        $0.contains("shard 1's share of the conv parameters is lost with it: back to the initial")
          && $0.contains("once another server shard has come")
      }, "\(scene.notes)")
    #expect(scene.join(.shard).contains("welcome node 6"))
    #expect(scene.beat(6, dataset: nil) == ["restore 1 after 0 steps, initial -> node 6"])
  }

  // MARK: A worker of it

  @Test func `a worker pulls from the shards, pushes to owners and waits for the word to go on`() {
    var scene = WorkerScene(ShardScene.plan())
    var said = scene.enter(ShardScene.view())
    #expect(said.prefix(2) == ["meet fc 0, fc 1, shard 1", "pull -> node 22"])
    // configure, load
    _ = scene.finish(2)
    #expect(
      scene.waits == [
        "server: parameters of conv1, turn 0", "shard 1: parameters of conv1, turn 0",
      ])
    // Only from the owner.
    _ = scene.parameters(1, version: 0)
    _ = scene.parameters(0, version: 0, from: NodeID(22))
    #expect(scene.core.gate.dropped[.unexpected] == 2)
    func provide(_ version: UInt64) {
      for chunk in 0..<3 {
        _ = scene.parameters(
          chunk, version: version, from: chunk == 0 ? .server : NodeID(22))
      }
    }
    provide(0)
    // two installs, two forwards, features
    _ = scene.finish(5)
    _ = scene.gradients(from: 0, turn: 0)
    _ = scene.gradients(from: 1, turn: 0)
    said = scene.finish(3)
    #expect(
      said.filter { $0.hasPrefix("push") } == [
        "push of chunk 2, turn 0 -> node 22", "push of chunk 0, turn 0 -> server, bulk",
        "push of chunk 1, turn 0 -> node 22",
      ], "\(said)")
    // All parameters are there, but of several servers none knows whether all have stepped.
    provide(1)
    said = scene.finish(5)
    #expect(!said.contains { $0.hasPrefix("features") }, "\(said)")
    #expect(scene.waits == ["server: leave to start turn 1"])
    #expect(scene.receive(.advance(Advance(turn: 1))) == ["features 0+2 2+2"])
  }
}
