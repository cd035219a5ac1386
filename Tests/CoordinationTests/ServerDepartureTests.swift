import Messages
import Network
import Testing

@testable import Coordination

/// FC nodes and shards that want to go: workers are nodes 1 and 2, FC nodes 3 and 4. The turns are
/// T0 T1 E E T2 T3 E E ...
@Suite struct ServerDepartureTests {
  private static func plan(every steps: UInt64 = 100) -> RunPlan {
    var plan = Fixture.plan(steps: 20)
    plan.checkpointEvery = steps
    return plan
  }

  /// After one committed step.
  private static func trained(_ plan: RunPlan = plan()) -> ServerScene {
    var scene = ServerScene.started(plan)
    _ = scene.train(turn: 0)
    return scene
  }

  private static func begins(_ said: [String]) -> [String] {
    said.filter { $0.hasPrefix("begin the checkpoint") }
  }

  /// Both FC nodes hand their slices in.
  private static func handIn(_ scene: inout ServerScene) -> [String] {
    let transfer = scene.core.lastTransfer
    return scene.slice(from: 3, transfer: transfer) + scene.slice(from: 4, transfer: transfer)
  }

  private static func isReleased(_ said: [String], _ node: Int = 3) -> Bool {
    said.contains("stop: left the run -> node \(node)")
  }

  @Test func `who asks in a training step goes with the checkpoint after it`() {
    var scene = Self.trained()
    #expect(scene.leave(3) == [])
    #expect(Self.begins(scene.train(turn: 1)) == ["begin the checkpoint after 2 steps"])
    #expect(Self.handIn(&scene).last == "write the checkpoint after 2 steps")
    let said = scene.checkpointed(steps: 2)
    #expect(Self.isReleased(said), "\(said)")
    #expect(scene.notes.contains("fc 0 is gone: its slices are in the checkpoint"))
  }

  @Test func `who asks in an evaluation need not wait for a step`() {
    var scene = Self.trained()
    _ = scene.train(turn: 1)
    let said = scene.leave(3)
    #expect(
      said == [
        "begin the checkpoint after 2 steps", "collect 1 at turn 2 -> node 3",
        "collect 1 at turn 2 -> node 4",
      ])
    // The evaluation goes on, and asks for nothing again.
    #expect(Self.begins(scene.evaluate(turn: 2, examples: 4)) == [])
    _ = Self.handIn(&scene)
    #expect(Self.isReleased(scene.checkpointed(steps: 2)))
  }

  @Test func `where the run pauses before the step is done, the checkpoint is made in the pause`() {
    var scene = Self.trained()
    _ = scene.leave(3) + scene.loseConnection(1)
    let said = scene.loseConnection(2)
    #expect(scene.core.state == .paused)
    #expect(Self.begins(said) == ["begin the checkpoint after 1 steps"])
    // What is given up is begun again, in a pause too.
    let again = scene.slice(from: 4, transfer: scene.core.lastTransfer, number: 1)
    #expect(Self.begins(again) == ["begin the checkpoint after 1 steps"])
    _ = Self.handIn(&scene)
    #expect(Self.isReleased(scene.checkpointed(steps: 1)))
  }

  @Test func `an earlier checkpoint releases nobody`() {
    var scene = Self.trained(Self.plan(every: 1))
    _ = Self.handIn(&scene)
    // The checkpoint after step 1 is being written, step 2 done meanwhile.
    _ = scene.train(turn: 1) + scene.leave(3)
    var said = scene.checkpointed(steps: 1)
    #expect(!Self.isReleased(said), "\(said)")
    #expect(Self.begins(said) == ["begin the checkpoint after 2 steps"])
    _ = Self.handIn(&scene)
    said = scene.checkpointed(steps: 2)
    #expect(Self.isReleased(said), "\(said)")
    #expect(scene.notes.contains { $0.contains("0 steps to repeat") }, "\(scene.notes)")
  }

  @Test func `a checkpoint that has all its steps already releases it at once`() {
    var scene = Self.trained(Self.plan(every: 1))
    _ = Self.handIn(&scene)
    _ = scene.checkpointed(steps: 1)
    #expect(Self.isReleased(scene.leave(3)))
    var fresh = ServerScene.started(Self.plan())
    #expect(Self.isReleased(fresh.leave(3)))
    #expect(fresh.notes.contains("fc 0 is gone: no step has changed its slices"))
  }

  @Test func `a disk that takes no checkpoint is tried three times, and then told of`() {
    var scene = Self.trained()
    _ = scene.train(turn: 1) + scene.leave(3)
    for time in 1...3 {
      #expect(Self.handIn(&scene).last == "write the checkpoint after 2 steps", "\(time)")
      let said = scene.checkpointed(steps: 2, failure: "disk full")
      #expect(Self.isReleased(said) == (time == 3), "\(said)")
    }
    #expect(
      scene.notes.contains(
        "fc 0 is gone: 3 checkpoints that were to take its slices have failed, the last one: "
          + "disk full"), "\(scene.notes)")
    #expect(!scene.notes.contains { $0.contains("are in the checkpoint") })
    #expect(scene.notes.contains { $0.contains("2 steps to repeat") }, "\(scene.notes)")
  }

  @Test func `two that want to go share a checkpoint`() {
    var scene = Self.trained()
    _ = scene.leave(3) + scene.leave(4) + scene.train(turn: 1)
    _ = Self.handIn(&scene)
    let said = scene.checkpointed(steps: 2)
    #expect(Self.isReleased(said, 3) && Self.isReleased(said, 4), "\(said)")
    #expect(scene.core.departing.isEmpty)
  }

  @Test func `who wants to go is not counted among those who share the layers`() {
    var plan = Fixture.plan(fcNodes: 3, steps: 20)
    plan.checkpointEvery = 100
    plan.recutsOnLoss = true
    var scene = ServerScene.started(plan)
    _ = scene.train(turn: 0) + scene.leave(3)
    #expect(scene.loseConnection(4).last == "recut among 1")
  }

  @Test func `who waits to go when all go back to a checkpoint need wait no more`() {
    var scene = Self.trained()
    _ = scene.leave(3)
    let said = scene.loseConnection(4)
    #expect(Self.isReleased(said), "\(said)")
  }

  @Test func `a checkpoint is made though a worker comes at its step`() {
    var scene = Self.trained(Self.plan(every: 2))
    _ = scene.join(.worker) + scene.beat(5)
    let said = scene.train(turn: 1)
    #expect(said.contains { $0.hasPrefix("view 2 at turn 2") }, "\(said)")
    #expect(Self.begins(said) == ["begin the checkpoint after 2 steps"])
    #expect(!said.contains { $0.hasPrefix("advance") })
  }

  @Test func `a change of view gives up no checkpoint whose slices are all there`() {
    var scene = Self.trained(Self.plan(every: 1))
    _ = Self.handIn(&scene)
    _ = scene.loseConnection(1)
    #expect(!scene.notes.contains { $0.contains("is given up") }, "\(scene.notes)")
    #expect(scene.core.collecting?.steps == 1)
    _ = scene.checkpointed(steps: 1)
    #expect(scene.core.collecting == nil)
    #expect(scene.core.checkpointSteps == 1)
  }

  @Test func `a worker that waits for its commit is let go when there is none to come`() {
    var scene = Self.trained()
    _ = scene.leave(1)
    #expect(scene.core.membership[NodeID(1)]?.state == .leaving)
    var said = scene.loseConnection(4)
    #expect(Self.isReleased(said, 1), "\(said)")
    #expect(scene.core.membership[NodeID(1)] == nil)
    #expect(scene.core.state == .paused)
    // Likewise while the lost slice is taken from its mirror.
    var plan = Self.plan()
    plan.mirrorsFC = true
    var mirrored = ServerScene.started(plan)
    _ = mirrored.train(turn: 0)
    for node in 3...4 { _ = mirrored.receive(.applied(Applied(turn: 0)), from: node) }
    _ = mirrored.leave(1)
    said = mirrored.loseConnection(4)
    #expect(mirrored.core.rescue != nil)
    #expect(Self.isReleased(said, 1), "\(said)")
    #expect(!Self.isReleased(said, 2), "\(said)")
  }

  @Test func `who asked in an end that was taken back is let go`() {
    var plan = Fixture.plan(steps: 1, evaluation: .never)
    plan.checkpointEvery = 100
    var scene = ServerScene.started(plan)
    _ = scene.train(turn: 0) + scene.report(from: 3, turn: 0) + scene.report(from: 4, turn: 0)
    _ = scene.finishAll()
    guard case .ending = scene.core.state else {
      Issue.record("\(scene.core.state)")
      return
    }
    // Its slices are for the model: it goes with the run.
    #expect(scene.leave(3) == [])
    let said = scene.loseConnection(4)
    #expect(said.contains("roll back to 0 steps"), "\(said)")
    #expect(Self.isReleased(said), "\(said)")
    #expect(scene.core.departing.isEmpty)
  }
}
