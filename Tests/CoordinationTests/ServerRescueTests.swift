import Messages
import Network
import Testing

@testable import Coordination

/// FC nodes that die while another keeps their slice: workers are nodes 1 and 2, FC nodes 3 and 4.
@Suite struct ServerRescueTests {
  private static func started() -> ServerScene {
    var plan = Fixture.plan(evaluation: .never)
    plan.mirrorsFC = true
    plan.checkpointEvery = 100
    return ServerScene.started(plan)
  }

  /// After one committed step.
  private static func trained() -> ServerScene {
    var scene = started()
    _ = scene.train(turn: 0) + confirm(&scene, turn: 0)
    return scene
  }

  private static func confirm(_ scene: inout ServerScene, turn: UInt64) -> [String] {
    [3, 4].flatMap { scene.receive(.applied(Applied(turn: turn)), from: $0) }
  }

  /// fc 1 is gone, fc 0 has handed in its own slices.
  private static func rescuing() -> ServerScene {
    var scene = trained()
    _ = scene.loseConnection(4)
    _ = scene.slice(from: 3, transfer: 1)
    return scene
  }

  private static func isOver(_ said: [String]) -> Bool {
    said.contains { $0.hasPrefix("advance") || $0.contains("turn 1") }
  }

  @Test func `a turn is committed once every fc node can mirror it`() {
    var scene = Self.started()
    _ = scene.train(turn: 0)
    #expect(scene.core.committedSteps == 0)
    #expect(
      scene.waits == [
        "fc 0: its word that it can mirror turn 0", "fc 1: its word that it can mirror turn 0",
      ])
    _ = scene.receive(.applied(Applied(turn: 0)), from: 3)
    #expect(scene.core.committedSteps == 0)
    _ = scene.receive(.applied(Applied(turn: 0)), from: 4)
    #expect(scene.core.committedSteps == 1)
    // From a worker the word means nothing.
    _ = scene.receive(.applied(Applied(turn: 1)), from: 1)
    #expect(scene.core.droppedMessages == [.unexpected: 1])
  }

  @Test func `a lost slice is taken from its mirror, and no step is repeated`() {
    var scene = Self.trained()
    var said = scene.loseConnection(4)
    #expect(said == ["begin the checkpoint after 1 steps", "collect 1 at turn 1 -> node 3"])
    #expect(scene.core.state == .paused)
    #expect(scene.waits == ["fc 0: its slices", "fc 0: the slices of fc 1 that it mirrors"])
    said = scene.slice(from: 3, transfer: 1)
    #expect(said == ["store a slice", "collect 2, mirrored, at turn 1 -> node 3"])
    // One who comes meanwhile is not given what is out of date.
    _ = scene.join(.fc)
    said = scene.beat(5)
    #expect(said == [])
    said = scene.slice(from: 3, transfer: 2)
    #expect(said == ["store a slice", "write the checkpoint after 1 steps"])
    #expect(scene.waits == ["compute thread: the checkpoint with fc 1's slices"])
    said = scene.checkpointed(steps: 1)
    #expect(
      said == [
        "roll back to 1 steps", "restore 3 after 1 steps -> node 3", "cut slice 0",
        "restore 3 after 1 steps -> node 5", "cut slice 1",
      ])
    #expect(
      scene.notes.last
        == "fc 1 is lost, not its slice of the fc layers: back to the checkpoint after 1 steps, "
        + "0 steps to repeat, once another fc node has come")
    _ = scene.finishAll() + scene.beat(3, restored: 3)
    said = scene.beat(5, restored: 3)
    #expect(said.contains { $0.hasPrefix("view 2 at turn 1") }, "\(said)")
    #expect(scene.core.committedSteps == 1)
  }

  @Test func `one who is not prepared when all go back is given its part once it is`() {
    var scene = Self.rescuing()
    _ = scene.join(.fc) + scene.beat(5, ready: false) + scene.slice(from: 3, transfer: 2)
    var said = scene.checkpointed(steps: 1)
    #expect(
      said == ["roll back to 1 steps", "restore 3 after 1 steps -> node 3", "cut slice 0"])
    said = scene.beat(5)
    #expect(said == ["restore 3 after 1 steps -> node 5", "cut slice 1"])
  }

  @Test func `with the mirror gone too the last checkpoint is what there is`() {
    var scene = Self.rescuing()
    let said = scene.loseConnection(3)
    #expect(said == ["roll back to 0 steps"])
    #expect(scene.core.rescue == nil)
    #expect(scene.core.collecting == nil)
  }

  @Test func `with a piece lost on the way the last checkpoint is what there is`() {
    var scene = Self.rescuing()
    let said = scene.slice(from: 3, transfer: 2, number: 1)
    #expect(said.first == "roll back to 0 steps", "\(said)")
    #expect(scene.notes.contains("no checkpoint after 1 steps: a piece of fc 0's slices was lost"))
  }

  @Test func `with a mirror that does not answer, or a full disk, likewise`() {
    var silent = Self.rescuing()
    silent.now += 61_000_000
    _ = silent.beat(1) + silent.beat(2) + silent.beat(3)
    #expect(silent.wait(milliseconds: 1).first == "roll back to 0 steps")
    var full = Self.rescuing()
    _ = full.slice(from: 3, transfer: 2)
    let said = full.checkpointed(steps: 1, failure: "no space left on device")
    #expect(said.first == "roll back to 0 steps", "\(said)")
  }

  @Test func `what a checkpoint has already needs no mirror`() {
    var scene = Self.started()
    let said = scene.loseConnection(4)
    #expect(said.first == "roll back to 0 steps", "\(said)")
  }

  /// A host with an FC node and a shard that vanishes, seen one after the other.
  @Test func `a shard that dies in a rescue does not make the cutting anew forgotten`() {
    var plan = Fixture.plan(fcNodes: 3, evaluation: .never)
    plan.mirrorsFC = true
    plan.recutsOnLoss = true
    plan.checkpointEvery = 100
    plan.shards = ShardMap(plan.chunks, count: 2)
    var scene = ServerScene(plan)
    for role in [Role.worker, .worker, .fc, .fc, .fc, .shard] { _ = scene.join(role) }
    for node in 1...6 { _ = scene.beat(node) }
    _ = scene.finishAll()
    for worker in 1...2 { _ = scene.push(0, from: worker, turn: 0) }
    _ = scene.finishAll()
    for node in 3...6 { _ = scene.receive(.applied(Applied(turn: 0)), from: node) }
    #expect(scene.core.committedSteps == 1)
    _ = scene.loseConnection(4)
    #expect(scene.core.rescue != nil)
    #expect(scene.loseConnection(6).last == "recut among 2")
  }
}
