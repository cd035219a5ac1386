import Messages
import Testing

@testable import Coordination

/// How a run ends: the slices, the model, the last words.
@Suite struct ServerEndTests {
  /// Two steps and no evaluation, both done but for the last measure.
  private static func trained() -> ServerScene {
    var scene = ServerScene.started(Fixture.plan(steps: 2, evaluation: .never))
    _ = scene.train(turn: 0)
    _ = scene.train(turn: 1)
    return scene
  }

  /// The same run in its last view.
  private static func ending() -> ServerScene {
    var scene = trained()
    _ = scene.wait(milliseconds: 1001)
    return scene
  }

  private static let done = "all steps done"

  @Test func `after the last measure come the slices, the model, the goodbyes`() {
    var scene = Self.trained()
    #expect(scene.waits == ["fc 0: its report of turn 1", "fc 1: its report of turn 1"])
    _ = scene.report(from: 3, turn: 1)
    var said = scene.report(from: 4, turn: 1) + scene.finish()
    #expect(
      said == ["tally of 2", "measured 4 at step 1"]
        + [1, 2, 3, 4].map { "view 2 (final) at turn 2 -> node \($0)" })
    #expect(
      scene.waits == ["fc 0: its slices of the fc layers", "fc 1: its slices of the fc layers"])
    said = scene.slice(from: 4, column: 2, isLast: false) + scene.slice(from: 3)
    #expect(said == ["store a slice", "store a slice"])
    #expect(scene.waits == ["fc 1: its slices of the fc layers"])
    said = scene.slice(from: 4, number: 1, column: 4)
    #expect(said == ["store a slice", "save after 2 steps"])
    #expect(scene.waits == ["compute thread: the model file"])
    said = scene.finishAll()
    #expect(said == [1, 2, 3, 4].map { "stop: \(Self.done) -> node \($0)" })
    #expect(
      scene.waits == (0..<2).map { "worker \($0): its goodbye" }
        + (0..<2).map { "fc \($0): its goodbye" })
    said = [2, 1, 4, 3].flatMap { scene.receive(.goodbye, from: $0) }
    #expect(said == ["exit, finished: \(Self.done)"])
    #expect(scene.core.state == .over)
    said = scene.wait(milliseconds: 9999) + scene.stop() + scene.beat(1)
    #expect(said == [])
  }

  @Test func `a measure that does not come is not waited for long`() {
    var scene = Self.trained()
    var said = scene.wait(milliseconds: 1000)
    #expect(said == [])
    said = scene.wait(milliseconds: 1)
    #expect(said == [1, 2, 3, 4].map { "view 2 (final) at turn 2 -> node \($0)" })
  }

  @Test func `a member whose reason holds for all ends the run, with the model of the steps done`()
  {
    var scene = ServerScene.started()
    _ = scene.train(turn: 0)
    let reason = "worker 0: no data"
    let leave = Body.leave(Leave(reason: "no data", endsRun: true))
    var said = scene.receive(leave, from: 1)
    #expect(scene.core.state == .ending(Stop(outcome: .failed, reason: reason)))
    #expect(said.contains("view 2 (final) at turn 1 -> node 3"), "\(said)")
    // Once is enough.
    said = scene.receive(leave, from: 2)
    #expect(said == [])
    _ = scene.slice(from: 3)
    _ = scene.slice(from: 4)
    said = scene.finishAll()
    #expect(said.suffix(4) == [1, 2, 3, 4].map { "stop: \(reason) -> node \($0)" }, "\(said)")
  }

  @Test func `nobody is needed for another turn when all are done`() {
    var scene = Self.trained()
    _ = scene.loseConnection(1)
    #expect(scene.core.state == .ending(Stop(outcome: .finished, reason: Self.done)))
    let said = scene.loseConnection(2)
    #expect(said == [])
    _ = scene.slice(from: 3)
    _ = scene.slice(from: 4)
    let end = scene.finishAll()
    #expect(end == [3, 4].map { "stop: \(Self.done) -> node \($0)" })
  }

  @Test func `a run of no steps ends as it begins`() {
    let scene = ServerScene.started(Fixture.plan(steps: 0))
    #expect(scene.core.state == .ending(Stop(outcome: .finished, reason: Self.done)))
  }

  @Test func `slices that come twice or too late are dropped`() {
    var scene = Self.ending()
    var said = scene.slice(from: 3, isLast: false) + scene.slice(from: 3, isLast: false)
    #expect(said == ["store a slice"])
    said =
      scene.slice(from: 3, number: 1, column: 2)
      + scene.slice(from: 3, number: 1, column: 2)
    #expect(said == ["store a slice"])
    said = scene.slice(from: 1)
    #expect(said == [])
    #expect(scene.core.droppedMessages == [.duplicate: 2, .unexpected: 1])
    var running = ServerScene.started()
    said = running.slice(from: 3)
    #expect(said == [])
    #expect(running.core.droppedMessages == [.unexpected: 1])
  }

  @Test func `a model with a hole is not written: the slices are asked for again`() {
    var scene = Self.ending()
    _ = scene.slice(from: 3)
    _ = scene.slice(from: 4, isLast: false)
    // The second piece of fc 1 is lost on the way.
    var said =
      scene.slice(from: 4, number: 2, isLast: false) + scene.slice(from: 4, number: 3)
    #expect(said == [])
    #expect(scene.notes.last == "a piece of fc 1's slices was lost")
    #expect(scene.waits == ["fc 1: its slices of the fc layers"])
    said = Self.stall(&scene, [1, 2, 3, 4])
    #expect(said == [1, 2, 3, 4].map { "view 3 (final) at turn 2 -> node \($0)" })
    _ = scene.slice(from: 3)
    _ = scene.slice(from: 4, column: 2, isLast: false)
    said = scene.slice(from: 4, number: 1, column: 4)
    #expect(said == ["store a slice", "save after 2 steps"])
  }

  /// Time without progress, with everybody alive and waiting for the server.
  private static func stall(
    _ scene: inout ServerScene, _ nodes: [Int],
    waits: [Wait] = [Wait(owner: .member(.server), what: "the end", milliseconds: 1)]
  ) -> [String] {
    var said: [String] = []
    for _ in 0..<31 {
      for node in nodes { said += scene.beat(node, waits: waits) }
      said += scene.wait(milliseconds: 1000)
    }
    return said
  }

  @Test func `an fc node that hangs at the end fails the run, by name`() {
    var scene = Self.ending()
    _ = scene.slice(from: 3)
    let own = [Wait(owner: .own("compute thread"), what: "its slices", milliseconds: 1)]
    let said = Self.stall(&scene, [1, 2, 3, 4], waits: own)
    #expect(
      said.first
        == "stop: fc 1 did not hand in its slices for 31000 ms; all steps done -> node 1")
    #expect(scene.notes.contains { $0.hasPrefix("the end does not come: fc 1 waits for its") })
  }

  @Test func `slices are asked for three times in all`() {
    var scene = Self.ending()
    let said = (0..<3).flatMap { _ in Self.stall(&scene, [1, 2, 3, 4]) }
    #expect(said.filter { $0.hasPrefix("view") }.count == 8)
    #expect(said.suffix(4).allSatisfy { $0.hasPrefix("stop: fc 0, fc 1 did not hand in") })
  }

  @Test func `what the turns were held up by does not count at the end`() {
    var scene = ServerScene.started()
    let waits = [Wait(owner: .member(.server), what: "the step", milliseconds: 1)]
    _ = Self.stall(&scene, [1, 2, 3, 4], waits: waits)
    _ = Self.stall(&scene, [1, 2, 3, 4], waits: waits)
    #expect(scene.core.stalls == 2)
    _ = scene.stop()
    guard case .ending = scene.core.state else {
      Issue.record("\(scene.core.state)")
      return
    }
    let said = Self.stall(&scene, [1, 2, 3, 4])
    #expect(said.contains { $0.contains("(final)") }, "\(said)")
    #expect(!said.contains { $0.hasPrefix("stop") }, "\(said)")
  }

  @Test func `an fc node that dies before its last slice makes a finished run go back`() {
    var scene = Self.ending()
    _ = scene.slice(from: 3)
    var said = scene.loseConnection(3)
    #expect(said == [])
    said = scene.loseConnection(4)
    #expect(said == ["roll back to 0 steps"])
    #expect(scene.core.state == .paused)
  }

  @Test func `an fc node that dies before its last slice fails a run that is to stop`() {
    var scene = ServerScene.started()
    _ = scene.stop()
    _ = scene.slice(from: 3)
    let said = scene.loseConnection(4)
    let reason = "fc 1 went before it handed in its slices; asked to"
    #expect(said == [1, 2, 3].map { "stop: \(reason) -> node \($0)" })
  }

  @Test func `a model that cannot be written fails the run`() {
    var scene = Self.ending()
    _ = scene.slice(from: 3)
    _ = scene.finish()
    _ = scene.slice(from: 4)
    _ = scene.finish()
    let said = scene.fail("disk full")
    #expect(said.first == "stop: the model could not be written: disk full -> node 1")
  }

  @Test func `a slice that does not fit fails the run`() {
    var scene = Self.ending()
    _ = scene.slice(from: 3, isLast: false)
    let said = scene.fail("fc 0 sent a slice that does not fit")
    #expect(
      said.first
        == "stop: the model could not be written: fc 0 sent a slice that does not fit -> node 1")
  }

  @Test func `a step that cannot be computed fails the run, even one that was given up`() {
    var scene = ServerScene.started()
    _ = scene.push(2, from: 1, turn: 0)
    _ = scene.push(2, from: 2, turn: 0)
    _ = scene.loseConnection(2)
    let said = scene.fail("out of memory")
    #expect(said == [1, 3, 4].map { "stop: out of memory -> node \($0)" })
  }

  // MARK: Stopping

  @Test func `a stop gives up the turn and keeps the steps`() {
    var scene = ServerScene.started()
    _ = scene.train(turn: 0)
    _ = scene.push(2, from: 1, turn: 1)
    var said = scene.stop()
    #expect(said == [1, 2, 3, 4].map { "view 2 (final) at turn 1 -> node \($0)" })
    said = scene.push(2, from: 2, turn: 1)
    #expect(said == [])
    _ = scene.slice(from: 3)
    said = scene.slice(from: 4)
    #expect(said == ["store a slice", "save after 1 steps"])
    _ = scene.finishAll()
    _ = (1...3).flatMap { scene.receive(.goodbye, from: $0) }
    said = scene.receive(.goodbye, from: 4)
    #expect(said == ["exit, interrupted: asked to"])
  }

  @Test func `a stop before the start has nothing to save`() {
    var scene = ServerScene()
    _ = scene.join(.worker)
    var said = scene.stop()
    #expect(said == ["stop: asked to -> node 1"])
    said = scene.receive(.goodbye, from: 1)
    #expect(said == ["exit, interrupted: asked to"])
    var empty = ServerScene()
    said = empty.stop()
    #expect(said == ["exit, interrupted: asked to"])
  }

  @Test func `a stop in a pause saves what there is`() {
    var scene = ServerScene.started()
    _ = scene.train(turn: 0)
    _ = scene.loseConnection(1)
    _ = scene.loseConnection(2)
    #expect(scene.core.state == .paused)
    let said = scene.stop()
    #expect(said == [3, 4].map { "view 4 (final) at turn 1 -> node \($0)" })
  }

  @Test func `nobody is let in while the run ends`() {
    var scene = Self.ending()
    var said = scene.join(.worker)
    #expect(said == ["refuse 500: the run is ending"])
    _ = scene.slice(from: 3)
    _ = scene.slice(from: 4)
    _ = scene.finishAll()
    said = scene.join(.fc)
    #expect(said == ["refuse 600: the run is ending"])
  }

  @Test func `goodbyes are waited for until the deadline`() {
    var scene = Self.ending()
    _ = scene.slice(from: 3)
    _ = scene.slice(from: 4)
    _ = scene.finishAll()
    _ = scene.receive(.goodbye, from: 1)
    _ = scene.loseConnection(2)
    _ = scene.beat(3)
    var said = scene.wait(milliseconds: 2900)
    #expect(said == [])
    said = scene.wait(milliseconds: 100)
    #expect(said == ["exit, finished: all steps done"])
    #expect(scene.notes.last == "no goodbye from fc 0, fc 1")
  }

  @Test func `a run whose steps are all done needs no workers to end after a loss`() {
    var plan = Fixture.plan(steps: 1, evaluation: .never)
    plan.mirrorsFC = true
    plan.checkpointEvery = 100
    var scene = ServerScene.started(plan)
    _ = scene.train(turn: 0)
    for node in 3...4 { _ = scene.receive(.applied(Applied(turn: 0)), from: node) }
    _ = scene.wait(milliseconds: 1001)
    guard case .ending = scene.core.state else {
      Issue.record("\(scene.core.state)")
      return
    }
    // An fc node dies before it has handed in, and the workers have nothing to stay for.
    _ = scene.loseConnection(4)
    #expect(scene.core.rescue != nil)
    _ = scene.slice(from: 3, transfer: 1) + scene.slice(from: 3, transfer: 2)
    _ = scene.checkpointed(steps: 1) + scene.leave(1) + scene.leave(2)
    #expect(scene.core.membership.ranked(.worker).isEmpty)
    #expect(scene.waits == ["fc 0: to be ready", "1 more fc node: to join"])
    _ = scene.join(.fc) + scene.beat(5) + scene.finishAll()
    let said = scene.beat(3, restored: 3) + scene.beat(5, restored: 3)
    #expect(said == [3, 5].map { "view 3 (final) at turn 1 -> node \($0)" })
  }
}
