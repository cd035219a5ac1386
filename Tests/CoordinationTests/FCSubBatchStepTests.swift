import Messages
import Testing

@testable import Coordination

/// FC weights that step once a sub-batch: the 2014 paper's variable batch.
@Suite struct FCSubBatchStepTests {
  /// fc 0 of one, with two sub-batches of two rows.
  private static func scene() -> FCScene {
    var plan = Fixture.plan(fcNodes: 1)
    plan.schedule = Schedule(subBatches: 2, updatesEachSubBatch: true)
    var scene = FCScene(plan)
    _ = scene.enter(Fixture.view(fcNodes: [0]))
    return scene
  }

  private static func features(
    _ scene: inout FCScene, turn: UInt64, subBatch: Int
  ) -> [String] {
    let first = 2 * subBatch
    return scene.features(
      of: 0, turn: turn, subBatch: subBatch, rows: first..<first + 1, columns: 4)
      + scene.features(
        of: 1, turn: turn, subBatch: subBatch, rows: first + 1..<first + 2, columns: 4)
  }

  /// Segments and all, of what is under way.
  private static func steps(_ said: [String]) -> [String] {
    said.filter { $0.contains("train") || $0.contains("step ") }
  }

  @Test func `a sub-batch starts after the step of the one before it`() {
    var scene = Self.scene()
    // The second one's features come first, and wait.
    var said = Self.features(&scene, turn: 0, subBatch: 1)
    #expect(said == [])
    said = Self.features(&scene, turn: 0, subBatch: 0) + scene.finishAll()
    #expect(
      Self.steps(said) == [
        "train 4 at step 0: 0+1 1+1", "step 0 of sub-batch 0",
        "sub-batch 1: train 4 at step 0: 2+1 3+1", "step 0 of sub-batch 1",
      ])
    #expect(said.contains("report of 4, turn 0 -> server, bulk"))
    #expect(!said.contains("gradients"))
    #expect(scene.core.turn == 1)
    #expect(scene.core.appliedSteps == 0)
    said = scene.receive(.advance(Advance(turn: 1)))
    #expect(said == ["apply step 0"])
    #expect(scene.core.appliedSteps == 1)
  }

  @Test func `the features' gradients leave before the step`() {
    var scene = Self.scene()
    let said = Self.features(&scene, turn: 0, subBatch: 0) + scene.finishAll()
    #expect(
      said.suffix(3) == [
        "gradients 0+1, turn 0 -> node 1", "gradients 1+1, turn 0 -> node 2",
        "step 0 of sub-batch 0",
      ])
    #expect(
      scene.waits == [
        "worker 0: features of turn 0, sub-batch 1", "worker 1: features of turn 0, sub-batch 1",
      ])
  }

  @Test func `a turn starts once the server has said so, since the step needs its rate`() {
    var scene = Self.scene()
    for subBatch in 0..<2 { _ = Self.features(&scene, turn: 0, subBatch: subBatch) }
    _ = scene.finishAll()
    var said: [String] = []
    for subBatch in 0..<2 { said += Self.features(&scene, turn: 1, subBatch: subBatch) }
    #expect(said == [])
    #expect(Set(scene.waits) == ["server: the beginning of turn 1"])
    said = scene.receive(.advance(Advance(turn: 1)))
    #expect(said == ["apply step 0", "train 4 at step 1: 0+1 1+1"])
  }

  @Test func `a view that runs the turn again forgets the steps it has made`() {
    var scene = Self.scene()
    _ = Self.features(&scene, turn: 0, subBatch: 0)
    _ = scene.finishAll()
    _ = scene.enter(Fixture.view(2, workers: [1], fcNodes: [0]))
    #expect(scene.core.appliedSteps == 0)
    let said = scene.features(of: 1, turn: 0, rows: 0..<2, columns: 4) + scene.finishAll()
    // From the committed version again: it is the first sub-batch that says so.
    #expect(Self.steps(said) == ["train 4 at step 0: 0+2", "step 0 of sub-batch 0"])
  }

  @Test func `a view that comes after the turn keeps its steps`() {
    var scene = Self.scene()
    for subBatch in 0..<2 { _ = Self.features(&scene, turn: 0, subBatch: subBatch) }
    _ = scene.finishAll()
    let said = scene.enter(Fixture.view(2, resumeTurn: 1, workers: [1], fcNodes: [0]))
    #expect(said.contains("apply step 0"))
    #expect(scene.core.appliedSteps == 1)
  }
}
