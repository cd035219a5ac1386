import Messages
import Testing

@testable import Coordination

/// When checkpoints are begun.
@Suite struct ServerCheckpointTests {
  private func plan(every steps: UInt64, interval: UInt64) -> RunPlan {
    var plan = Fixture.plan(steps: 20)
    plan.checkpointEvery = steps
    plan.checkpointInterval = interval
    return plan
  }

  private func begins(_ said: [String]) -> [String] {
    said.filter { $0.hasPrefix("begin the checkpoint") }
  }

  @Test func `after the time a checkpoint follows the next step, and the time begins anew`() {
    var scene = ServerScene.started(plan(every: 0, interval: 60_000))
    #expect(begins(scene.train(turn: 0)) == [])
    scene.now += 61_000_000
    #expect(begins(scene.train(turn: 1)) == ["begin the checkpoint after 2 steps"])
    _ =
      scene.slice(from: 3, transfer: 1, columns: 4) + scene.slice(from: 4, transfer: 1, columns: 4)
    _ = scene.checkpointed(steps: 2)
    scene.now += 59_000_000
    for turn in 2...3 as ClosedRange<UInt64> { _ = scene.evaluate(turn: turn, examples: 4) }
    #expect(begins(scene.train(turn: 4)) == [])
    scene.now += 2_000_000
    #expect(begins(scene.train(turn: 5)) == ["begin the checkpoint after 4 steps"])
  }

  @Test func `a checkpoint with a hole is given up`() {
    var scene = ServerScene.started(plan(every: 2, interval: 0))
    _ = scene.train(turn: 0) + scene.train(turn: 1)
    _ = scene.slice(from: 3, transfer: 1, isLast: false) + scene.slice(from: 4, transfer: 1)
    // One that comes twice does not stand in for one that does not come at all.
    _ = scene.slice(from: 3, transfer: 1, isLast: false)
    let said = scene.slice(from: 3, transfer: 1, number: 2)
    #expect(said == [])
    #expect(
      scene.notes.last == "no checkpoint after 2 steps: a piece of fc 0's slices was lost")
    #expect(scene.core.collecting == nil)
  }

  @Test func `one that was asked for follows the next step if a view comes between`() {
    var scene = ServerScene.started(plan(every: 100, interval: 0))
    _ = scene.checkpointNow()
    #expect(begins(scene.train(turn: 0)) == ["begin the checkpoint after 1 steps"])
    _ = scene.slice(from: 3, transfer: 1, columns: 4)
    _ = scene.loseConnection(2) + scene.finishAll()
    #expect(scene.core.collecting == nil)
    let said = scene.train(turn: 1, workers: [1])
    #expect(begins(said) == ["begin the checkpoint after 2 steps"])
    // Once is enough.
    for node in 3...4 { _ = scene.slice(from: node, transfer: 2, columns: 4) }
    _ = scene.finishAll() + scene.checkpointed(steps: 2)
    #expect(!scene.core.checkpointAsked)
  }

  @Test func `where the last checkpoint is no good all go back to the one before`() {
    var scene = ServerScene.started(plan(every: 1, interval: 0))
    for steps in 1...2 as ClosedRange<UInt64> {
      _ = scene.train(turn: steps - 1)
      for node in 3...4 { _ = scene.slice(from: node, transfer: UInt32(steps), columns: 4) }
      _ = scene.finishAll() + scene.checkpointed(steps: steps)
    }
    #expect(scene.core.checkpointSteps == 2)
    #expect(
      scene.loseConnection(4) == [
        "roll back to 2 steps", "restore 3 after 2 steps -> node 3",
        "cut slice 0",
      ])
    var said = scene.finish(with: .wentFurtherBack(steps: 1, because: "it is damaged"))
    #expect(
      said == ["roll back to 1 steps", "restore 4 after 1 steps -> node 3", "cut slice 0"])
    #expect(
      scene.notes.last?.hasPrefix("it is damaged: back to the checkpoint after 1 steps") == true)
    #expect(scene.core.checkpointSteps == 1 && scene.core.committedSteps == 1)
    // What was cut before that was known is of no use any more.
    #expect(scene.finish() == [])
    #expect(scene.finishAll() == ["slice (last) -> node 3"])
    _ = scene.join(.fc)
    _ = scene.beat(5) + scene.finishAll() + scene.beat(3, restored: 4)
    said = scene.beat(5, restored: 4)
    #expect(said.contains("view 2 at turn 1 -> node 3"), "\(said)")
    _ = scene.finishAll()
    #expect(scene.train(turn: 1).contains("committed turn 1"))
  }

  @Test func `the parameters of the best evaluation are taken as they are`() {
    var scene = ServerScene.started(plan(every: 100, interval: 0))
    _ = scene.train(turn: 0) + scene.train(turn: 1)
    _ = scene.evaluate(turn: 2, examples: 4) + scene.evaluate(turn: 3, examples: 4)
    let said = scene.foundBest(steps: 2)
    #expect(
      said == [
        "begin the checkpoint after 2 steps", "collect 1 at turn 4 -> node 3",
        "collect 1 at turn 4 -> node 4",
      ])
    // One at a time.
    #expect(scene.foundBest(steps: 2) == [])
  }

  @Test func `what is past, on the disk already, or has no place is not taken`() {
    var scene = ServerScene.started(plan(every: 2, interval: 0))
    _ = scene.train(turn: 0)
    #expect(begins(scene.train(turn: 1)) == ["begin the checkpoint after 2 steps"])
    _ =
      scene.slice(from: 3, transfer: 1, columns: 4) + scene.slice(from: 4, transfer: 1, columns: 4)
    _ = scene.checkpointed(steps: 2)
    #expect(scene.foundBest(steps: 2) == [])
    _ = scene.evaluate(turn: 2, examples: 4) + scene.evaluate(turn: 3, examples: 4)
    _ = scene.train(turn: 4)
    #expect(scene.foundBest(steps: 2) == [])
    var without = ServerScene.started(plan(every: 0, interval: 0))
    _ = without.train(turn: 0)
    #expect(without.foundBest(steps: 1) == [])
  }

  @Test func `the best parameters that a slow disk leaves no time for are told of`() {
    var scene = ServerScene.started(plan(every: 1, interval: 0))
    _ = scene.train(turn: 0)
    _ =
      scene.slice(from: 3, transfer: 1, columns: 4) + scene.slice(from: 4, transfer: 1, columns: 4)
    _ = scene.train(turn: 1)
    _ = scene.evaluate(turn: 2, examples: 4) + scene.evaluate(turn: 3, examples: 4)
    #expect(scene.foundBest(steps: 2) == [])
    #expect(
      scene.notes.last
        == "the parameters after 2 steps, the best so far, are not kept: the checkpoint after "
        + "1 steps is still being written")
  }
}
