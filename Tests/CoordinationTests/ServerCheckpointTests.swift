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
