import Messages
import Testing

@testable import Coordination

/// Numbers that are infinite or not a number: no step with one of them is applied.
@Suite struct FaultTests {
  private func plan(_ policy: RunPlan.FaultPolicy) -> RunPlan {
    var plan = Fixture.plan(steps: 20, evaluation: .never)
    plan.onFault = policy
    return plan
  }

  private static let bad = ServerCore.Outcome.notFinite(
    worker: 1, what: "its gradient of conv2 is nan")

  // MARK: The server

  @Test func `by itself the run ends with the parameters before the step`() {
    var scene = ServerScene.started(plan(.stop))
    _ = scene.train(turn: 0)
    _ = scene.push(2, from: 1, turn: 1) + scene.push(2, from: 2, turn: 1)
    var said = scene.finish(with: Self.bad)
    #expect(said.contains("view 2 (final) at turn 1 -> node 3"))
    #expect(
      scene.notes.contains("ending: step 1 is not applied: worker 1: its gradient of conv2 is nan"))
    said = scene.slice(from: 3) + scene.slice(from: 4) + scene.finishAll()
    #expect(said.contains("save after 1 steps"))
    #expect(
      said.contains("stop: step 1 is not applied: worker 1: its gradient of conv2 is nan -> node 1")
    )
    #expect(scene.core.committedSteps == 1)
  }

  @Test func `a step is skipped, and the next view says so until a turn is committed`() {
    var scene = ServerScene.started(plan(.skip))
    _ = scene.push(2, from: 1, turn: 0) + scene.push(2, from: 2, turn: 0)
    var said = scene.finish(with: Self.bad)
    #expect(said.first == "skipped turn 0, step 0")
    #expect(said.contains("view 2 at turn 1, 1 skipped -> node 3"))
    _ = scene.finishAll()
    // The others are not told less by a view that comes before the next commit.
    said = scene.loseConnection(2) + scene.finishAll()
    #expect(said.contains("view 3 at turn 1, 1 skipped -> node 4"))
    said = scene.train(turn: 1, workers: [1])
    #expect(said.contains("committed turn 1"))
    #expect(scene.core.skippedTurns == 0)
    #expect(scene.core.committedSteps == 2)
  }

  @Test func `a checkpoint that was due after a skipped step follows the next`() {
    var plan = plan(.skip)
    plan.checkpointEvery = 2
    var scene = ServerScene.started(plan)
    var said = scene.train(turn: 0)
    _ = scene.push(2, from: 1, turn: 1) + scene.push(2, from: 2, turn: 1)
    said += scene.finish(with: Self.bad)
    #expect(said.contains("skipped turn 1, step 1"))
    said += scene.finishAll()
    #expect(!said.contains { $0.hasPrefix("begin") })
    said = scene.train(turn: 2)
    #expect(said.contains("begin the checkpoint after 3 steps"), "\(said)")
    for node in 3...4 { _ = scene.slice(from: node, transfer: 1, columns: 4) }
    _ = scene.finishAll() + scene.checkpointed(steps: 3)
    #expect(scene.train(turn: 3).contains("begin the checkpoint after 4 steps"))
  }

  @Test func `a gradient of the step that comes late changes nothing`() {
    var scene = ServerScene.started(plan(.skip))
    _ = scene.push(2, from: 1, turn: 0) + scene.push(2, from: 2, turn: 0)
    _ = scene.push(1, from: 1, turn: 0) + scene.push(1, from: 2, turn: 0)
    _ = scene.finish(with: Self.bad)
    // The other chunk's step, under way when the first was refused.
    let said = scene.finish() + scene.push(0, from: 1, turn: 0, view: 1)
    #expect(!said.contains { $0.contains("parameters") || $0.contains("commit") })
    #expect(scene.core.droppedMessages[.oldView] == 1)
  }

  @Test func `too many skipped steps in a row end the run`() {
    var scene = ServerScene.started(plan(.skip))
    for turn in 0...ServerCore.mostSkipped {
      #expect(scene.core.turn == turn)
      _ = scene.push(2, from: 1, turn: turn) + scene.push(2, from: 2, turn: turn)
      _ = scene.finish(with: Self.bad)
      if turn < ServerCore.mostSkipped { _ = scene.finishAll() }
    }
    #expect(scene.notes.last { $0.contains("ending") }?.contains("so were the 10 steps") == true)
  }

  @Test func `with rollback a step is tried a second time, and not a third`() {
    var scene = ServerScene.started(plan(.rollBack))
    _ = scene.train(turn: 0)
    var said: [String] = []
    for attempt in 0..<2 {
      _ = scene.push(2, from: 1, turn: 1) + scene.push(2, from: 2, turn: 1)
      said = scene.finish(with: Self.bad)
      guard attempt == 0 else { break }
      #expect(said.contains("roll back to 0 steps"))
      #expect(said.contains("restore 1 after 0 steps, initial -> node 3"))
      _ = scene.finishAll()
      said = scene.beat(3, restored: 1) + scene.beat(4, restored: 1) + scene.finishAll()
      #expect(said.contains("view 2 at turn 0 -> node 3"))
      _ = scene.train(turn: 0)
    }
    #expect(said.contains("view 3 (final) at turn 1 -> node 3"))
    #expect(
      scene.notes.last { $0.contains("ending") }?.contains("not even the second time") == true)
  }

  @Test func `of several fc nodes' faults the first in the computation is named`() {
    var scene = ServerScene.started(plan(.skip))
    var said = scene.fault(from: 4, turn: 0, depth: 5, what: "the loss is nan")
    #expect(said == [])
    said = scene.fault(from: 3, turn: 0, culprit: 2, depth: 0, what: "its features are inf")
    #expect(said.first == "skipped turn 0, step 0")
    #expect(
      scene.notes.contains("step 0 is not applied: worker 1: its features are inf; it is skipped"))
    // One node alone may have it, or the others be late.
    _ = scene.finishAll() + scene.fault(from: 4, turn: 1)
    said = scene.wait(milliseconds: 400)
    #expect(said == [])
    said = scene.wait(milliseconds: 200)
    #expect(said.first == "skipped turn 1, step 1")
  }

  @Test func `faults of another turn, of workers, or twice are dropped`() {
    var scene = ServerScene.started(plan(.stop))
    _ = scene.train(turn: 0)
    var said = scene.fault(from: 3, turn: 0) + scene.fault(from: 3, turn: 2)
    said += scene.fault(from: 1, turn: 1)
    said += scene.fault(from: 3, turn: 1) + scene.fault(from: 3, turn: 1)
    #expect(said == [])
    #expect(scene.core.droppedMessages == [.stale: 1, .unexpected: 2, .duplicate: 1])
  }

  @Test func `an undefined loss that is reported in time stops the step as well`() {
    var scene = ServerScene.started(plan(.skip))
    let report = Report(turn: 0, subBatch: 0, lossSum: .nan, examples: 4)
    _ = scene.receive(.report(report), frames: [Fixture.integers(4)], from: 3)
    let said = scene.receive(.report(report), frames: [Fixture.integers(4)], from: 4)
    #expect(said.first == "skipped turn 0, step 0")
  }

  // MARK: An FC node

  private func refusing(givenRow: Int? = nil) -> (scene: FCScene, said: [String]) {
    var scene = FCScene()
    _ = scene.enter(Fixture.view())
    scene.notFinite = .init(depth: 1, what: "the outputs of fc1 are inf", givenRow: givenRow)
    let said = scene.run(turn: 0)
    return (scene, said)
  }

  @Test func `an fc node gives nobody the gradients of a step that it cannot apply`() {
    let (scene, said) = refusing()
    #expect(said.last == "fault of node 11 in turn 0: the outputs of fc1 are inf -> server")
    #expect(!said.contains { $0.hasPrefix("gradients") })
    #expect(scene.waits == ["server: what becomes of turn 0, whose numbers are not finite"])
    #expect(refusing(givenRow: 3).said.last?.contains("fault of node 2") == true)
  }

  @Test func `a skipped step counts and is not applied`() {
    var (scene, _) = refusing()
    var said = scene.enter(Fixture.view(2, resumeTurn: 1, skipped: 1))
    #expect(!said.contains { $0.hasPrefix("apply") })
    #expect(scene.core.appliedSteps == 1)
    scene.notFinite = nil
    _ = scene.run(turn: 1)
    said = scene.receive(.advance(Advance(turn: 2)))
    #expect(said == ["apply step 1"])
    #expect(scene.core.appliedSteps == 2)
  }

  @Test func `a gradient that waits for its commit is thrown away if the step is skipped`() {
    var scene = FCScene()
    _ = scene.enter(Fixture.view())
    _ = scene.run(turn: 0) + scene.receive(.advance(Advance(turn: 1))) + scene.run(turn: 1)
    let said = scene.enter(Fixture.view(2, resumeTurn: 2, skipped: 1))
    #expect(!said.contains { $0.hasPrefix("apply") })
    #expect(scene.core.appliedSteps == 2)
  }

  @Test func `a node that has missed the view of a skipped step learns of it with the next`() {
    var scene = FCScene()
    _ = scene.enter(Fixture.view())
    // Turn 0 is committed without its knowing, turn 1 is skipped in view 2, which is lost.
    _ = scene.run(turn: 0)
    let said = scene.enter(Fixture.view(3, resumeTurn: 2, skipped: 1))
    #expect(said.first == "apply step 0")
    #expect(scene.core.appliedSteps == 2)
    _ = scene.enter(Fixture.view(4, resumeTurn: 2, skipped: 1))
    #expect(scene.core.appliedSteps == 2)
  }

  @Test func `a fault of a turn that is committed nevertheless is none of the next`() {
    var scene = ServerScene.started(plan(.skip))
    let report = Report(turn: 0, subBatch: 0, lossSum: .nan, examples: 4)
    _ = scene.receive(.report(report), frames: [Fixture.integers(4)], from: 3)
    #expect(scene.train(turn: 0).contains("committed turn 0"))
    #expect(scene.wait(milliseconds: 600) == [])
    #expect(scene.core.turn == 1)
  }
}
