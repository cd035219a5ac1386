import Messages
import Tensors
import Testing

@testable import Coordination

@Suite struct FCCoreTests {
  /// fc 0 of two in view 1, waiting for turn 0.
  private static func collecting(_ plan: RunPlan = Fixture.plan()) -> FCScene {
    var scene = FCScene(plan)
    _ = scene.enter(Fixture.view())
    return scene
  }

  /// The same node with turn 0 computed and not known to be committed.
  private static func afterFirstTurn() -> FCScene {
    var scene = collecting()
    _ = scene.run(turn: 0)
    return scene
  }

  // MARK: A turn

  @Test func `a training turn, message by message`() {
    var scene = FCScene()
    #expect(scene.waits == ["server: the next view"])
    var said = scene.enter(Fixture.view())
    #expect(said == ["meet fc 1"])
    #expect(scene.waits == ["worker 0: features of turn 0", "worker 1: features of turn 0"])
    said = scene.features(of: 1, turn: 0, rows: 2..<4)
    #expect(said == [])
    #expect(scene.waits == ["worker 0: features of turn 0"])
    said = scene.features(of: 0, turn: 0, rows: 0..<2)
    #expect(said == ["train 4 at step 0: 0+2 2+2"])
    #expect(scene.waits == ["compute thread: segment 0 of turn 0"])
    said = scene.finish()
    #expect(said == ["exchange 0, turn 0 -> node 12"])
    #expect(scene.waits == ["fc 1: exchange 0 of turn 0"])
    said = scene.exchange(0, turn: 0)
    #expect(said == ["segment 1 with 0 1"])
    said = scene.finish() + scene.exchange(1, turn: 0)
    #expect(said == ["exchange 1, turn 0 -> node 12", "segment 2 with 0 1"])
    said = scene.finish() + scene.exchange(2, turn: 0)
    #expect(
      said == ["exchange 2, turn 0 -> node 12", "segment 3 with 0 1, the last, for 0+2 2+2"])
    // The workers get theirs before the node computes its own gradients.
    said = scene.finish()
    #expect(
      said == [
        "gradients 0+2, turn 0 -> node 1", "gradients 2+2, turn 0 -> node 2",
        "report of 4, turn 0 -> server, bulk", "gradients",
      ])
    #expect(scene.core.turn == 1)
    #expect(scene.core.appliedSteps == 0)
    #expect(scene.core.gate.droppedCount == 0)
  }

  @Test func `a step is made once the server has said that its turn begins, not the next`() {
    var scene = Self.afterFirstTurn()
    // The features are proof of the commit, and turn 0 began with the view.
    #expect(scene.allFeatures(turn: 1).first == "apply step 0")
    for index in 0..<3 { _ = scene.finishAll() + scene.exchange(index, turn: 1) }
    _ = scene.finishAll()
    #expect(scene.core.turn == 2)
    // With the beginning of turn 1 would have come its learning rate.
    #expect(scene.allFeatures(turn: 2) == [])
    #expect(scene.waits == ["server: the beginning of turn 2"])
    #expect(scene.receive(.advance(Advance(turn: 1))).first == "apply step 1")
    #expect(scene.core.appliedSteps == 2)
  }

  @Test func `one sub-batch is computed while another's exchange travels`() {
    var plan = Fixture.plan()
    plan.schedule = Schedule(subBatches: 2)
    var scene = FCScene(plan)
    _ = scene.enter(Fixture.view())
    var said = scene.features(of: 0, turn: 0, rows: 0..<1)
    said += scene.features(of: 1, turn: 0, rows: 1..<2)
    said += scene.finish()
    #expect(said == ["train 4 at step 0: 0+1 1+1", "exchange 0, turn 0 -> node 12"])
    said = scene.features(of: 1, turn: 0, subBatch: 1, rows: 3..<4)
    #expect(
      scene.waits == [
        "fc 1: exchange 0 of turn 0, sub-batch 0", "worker 0: features of turn 0, sub-batch 1",
      ])
    said = scene.features(of: 0, turn: 0, subBatch: 1, rows: 2..<3) + scene.finish()
    #expect(
      said == ["sub-batch 1: train 4 at step 0: 2+1 3+1", "exchange 0, turn 0 -> node 12"])
    // The second overtakes the first.
    said = []
    for index in 0..<3 {
      said += scene.exchange(index, turn: 0, subBatch: 1)
      said += scene.finish()
    }
    #expect(
      said.suffix(3) == [
        "sub-batch 1: segment 3 with 0 1, the last, for 2+1 3+1",
        "gradients 2+1, turn 0 -> node 1", "gradients 3+1, turn 0 -> node 2",
      ])
    said = []
    for index in 0..<3 {
      said += scene.exchange(index, turn: 0)
      said += scene.finish()
    }
    // The turn is over with the last of its sub-batches.
    #expect(
      said.suffix(4) == [
        "gradients 0+1, turn 0 -> node 1", "gradients 1+1, turn 0 -> node 2",
        "report of 4, turn 0 -> server, bulk", "gradients",
      ])
    #expect(scene.core.turn == 1)
  }

  @Test func `an evaluation turn gives a report and nothing to apply`() {
    var scene = FCScene()
    // Steps 0 and 1 first, as the node must have applied them itself.
    _ = scene.enter(Fixture.view())
    _ = scene.run(turn: 0) + scene.receive(.advance(Advance(turn: 1)))
    _ = scene.run(turn: 1)
    let first = scene.run(turn: 2)
    #expect(first.contains("evaluate 4 at step 2: 0+2 2+2"))
    #expect(first.last == "report of 4, turn 2 -> server, bulk")
    #expect(first.contains("segment 2 with 0 1, the last"))
    // Six examples: the second batch holds two.
    let second = scene.run(turn: 3)
    #expect(second.contains("evaluate 2 at step 2: 0+2 2+2"))
    #expect(second.last == "report of 2, turn 3 -> server, bulk")
    #expect(scene.core.appliedSteps == 2)
  }

  @Test func `a node alone exchanges with nobody`() {
    let plan = Fixture.plan(fcNodes: 1)
    var scene = FCScene(plan)
    _ = scene.enter(Fixture.view(fcNodes: [0]))
    _ = scene.features(of: 0, turn: 0, rows: 0..<2, columns: 4)
    _ = scene.features(of: 1, turn: 0, rows: 2..<4, columns: 4)
    let said = (0..<4).flatMap { _ in scene.finish() }
    #expect(
      said == [
        "segment 1 with 0", "segment 2 with 0", "segment 3 with 0, the last, for 0+2 2+2",
        "gradients 0+2, turn 0 -> node 1", "gradients 2+2, turn 0 -> node 2",
        "report of 4, turn 0 -> server, bulk", "gradients",
      ])
  }

  @Test func `a worker without rows is neither waited for nor answered`() {
    var scene = FCScene(Fixture.plan(workers: 5))
    _ = scene.enter(Fixture.view(workers: [0, 1, 2, 3, 4]))
    var said: [String] = []
    for worker in 0..<4 {
      said += scene.features(of: worker, turn: 0, rows: worker..<worker + 1)
    }
    #expect(said == ["train 4 at step 0: 0+1 1+1 2+1 3+1"])
  }

  // MARK: Committing

  @Test func `a step is applied once, when the server says so`() {
    var scene = Self.afterFirstTurn()
    var said = scene.receive(.advance(Advance(turn: 1)))
    #expect(said == ["apply step 0"])
    said = scene.receive(.advance(Advance(turn: 1))) + scene.allFeatures(turn: 1)
    #expect(said == ["train 4 at step 1: 0+2 2+2"])
    #expect(scene.core.appliedSteps == 1)
  }

  @Test func `a step is applied once, when the next turn's features say so`() {
    var scene = Self.afterFirstTurn()
    var said = scene.features(of: 0, turn: 1, rows: 0..<2)
    #expect(said == [])
    said = scene.features(of: 1, turn: 1, rows: 2..<4)
    #expect(said == ["apply step 0", "train 4 at step 1: 0+2 2+2"])
    said = scene.receive(.advance(Advance(turn: 1)))
    #expect(said == [])
    #expect(scene.core.appliedSteps == 1)
  }

  @Test func `a step is applied once, when a view says so`() {
    var scene = Self.afterFirstTurn()
    var said = scene.enter(Fixture.view(2, resumeTurn: 1))
    #expect(said == ["apply step 0", "meet fc 1"])
    said = scene.enter(Fixture.view(3, resumeTurn: 1)) + scene.receive(.advance(Advance(turn: 1)))
    #expect(said == ["meet fc 1"])
    #expect(scene.core.appliedSteps == 1)
  }

  @Test func `a view that resumes the same turn discards its gradient`() {
    var scene = Self.afterFirstTurn()
    let said = scene.enter(Fixture.view(2, resumeTurn: 0))
    #expect(said == ["meet fc 1"])
    #expect(scene.core.appliedSteps == 0)
    #expect(scene.core.turn == 0)
    // Computed again, it is applied as if it had been the first time.
    _ = scene.run(turn: 0)
    let later = scene.receive(.advance(Advance(turn: 1)))
    #expect(later == ["apply step 0"])
    #expect(scene.core.appliedSteps == 1)
  }

  @Test func `a view in the middle of a turn starts it over`() {
    var scene = Self.collecting()
    _ = scene.allFeatures(turn: 0)
    // Segment 0 is being computed when worker 1 dies.
    _ = scene.enter(Fixture.view(2, workers: [0]))
    var said = scene.finish()
    #expect(said == [])
    #expect(scene.waits == ["worker 0: features of turn 0"])
    said = scene.features(of: 0, turn: 0, rows: 0..<4)
    #expect(said == ["train 4 at step 0: 0+4"])
  }

  @Test func `a view it cannot follow makes it leave with the reason`() {
    var scene = Self.collecting()
    let said = scene.enter(Fixture.view(2, resumeTurn: 4))
    let reason =
      "view 2 resumes after 2 steps, this fc node holds the parameters after 0"
    #expect(said == ["leave: \(reason) -> server", "exit, failed: \(reason)"])
  }

  // MARK: What comes early

  @Test func `a faster peer's exchange is kept for its segment`() {
    var scene = Self.collecting()
    var said = scene.exchange(0, turn: 0)
    #expect(said == [])
    _ = scene.allFeatures(turn: 0)
    said = scene.finish()
    #expect(said == ["exchange 0, turn 0 -> node 12", "segment 1 with 0 1"])
    #expect(scene.core.gate.droppedCount == 0)
  }

  @Test func `what comes before its view waits for it`() {
    var scene = Self.collecting()
    var said =
      scene.features(of: 0, turn: 0, rows: 0..<4, view: 2) + scene.exchange(0, turn: 0, view: 2)
    #expect(said == [])
    said = scene.enter(Fixture.view(2, workers: [0]))
    #expect(said == ["meet fc 1", "train 4 at step 0: 0+4"])
    said = scene.finish()
    #expect(said == ["exchange 0, turn 0 -> node 12", "segment 1 with 0 1"])
  }

  // MARK: What is dropped

  private static func complaint(_ node: UInt32, _ what: String) -> String {
    let complaint = Complaint(node: NodeID(node), reason: "\(what) of another size")
    return "\(Body.complaint(complaint)) -> server"
  }

  @Test func `features that do not fit are dropped and counted`() {
    var scene = Self.collecting()
    let said =
      scene.features(of: 0, turn: 0, rows: 0..<3) + scene.features(of: 0, turn: 0, rows: 2..<4)
      + scene.features(of: 0, turn: 0, rows: 0..<2, columns: 3)
      + scene.features(of: 0, turn: 0, rows: 0..<2, labels: 1)
      + scene.features(of: 0, turn: 0, rows: 0..<2, values: 5)
      + scene.receive(
        .activations(
          Activations(turn: 0, subBatch: 0, block: RowBlock(firstRow: 0, rows: 2, columns: 2))),
        from: NodeID(1))
    // Of each worker once.
    #expect(said == [Self.complaint(1, "features")])
    #expect(scene.core.gate.dropped == [.wrongSize: 6])
  }

  /// Every FC node gets the labels: all slices would be gone at once.
  @Test(arguments: [-2, 99] as [Int32])
  func `a label that is no class is complained of and not computed with`(label: Int32) {
    var plan = Fixture.plan()
    plan.classes = 99
    var scene = Self.collecting(plan)
    let message = Body.activations(
      Activations(turn: 0, subBatch: 0, block: RowBlock(firstRow: 0, rows: 2, columns: 2)))
    let labels = Frame(copying: [98, label])
    let said = scene.receive(
      message, frames: [labels, Fixture.floats(4)], from: Fixture.member(.worker, 0).node)
    let complaint = Complaint(node: NodeID(1), reason: "the label \(label), which is no class")
    #expect(said == ["\(Body.complaint(complaint)) -> server"])
    // -1 is a row without a label.
    let sound = scene.receive(
      message, frames: [Frame(copying: [98, -1] as [Int32]), Fixture.floats(4)],
      from: Fixture.member(.worker, 0).node)
    #expect(sound == [])
    #expect(scene.waits == ["worker 1: features of turn 0"])
  }

  @Test func `features that are stale, twice, too new or a stranger's are dropped and counted`() {
    var scene = Self.afterFirstTurn()
    _ = scene.features(of: 0, turn: 0, rows: 0..<2)
    _ = scene.features(of: 0, turn: 1, rows: 0..<2)
    _ = scene.features(of: 0, turn: 1, rows: 0..<2)
    _ = scene.features(of: 0, turn: 3, rows: 0..<2)
    _ = scene.features(of: 4, turn: 1, rows: 0..<2)
    _ = scene.receive(
      .activations(
        Activations(turn: 1, subBatch: 0, block: RowBlock(firstRow: 0, rows: 2, columns: 2))),
      from: NodeID(12))
    #expect(
      scene.core.gate.dropped == [
        .stale: 1, .duplicate: 1, .future: 1, .notAMember: 1, .unexpected: 1,
      ])
  }

  @Test func `exchanges that do not fit are dropped and counted`() {
    var scene = Self.collecting()
    let said =
      scene.exchange(0, turn: 0, values: 1) + scene.exchange(3, turn: 0)
      + scene.exchange(0, turn: 2) + scene.exchange(0, from: 0, turn: 0)
    #expect(said == [Self.complaint(12, "an exchange")])
    #expect(scene.core.gate.dropped == [.wrongSize: 2, .future: 1, .unexpected: 1])
    _ = scene.exchange(0, turn: 0)
    _ = scene.exchange(0, turn: 0)
    #expect(scene.core.gate.dropped[.duplicate] == 1)
    var later = Self.afterFirstTurn()
    _ = later.exchange(2, turn: 0)
    #expect(later.core.gate.dropped == [.stale: 1])
  }

  @Test func `there is one sub-batch a turn`() {
    var scene = Self.collecting()
    let block = RowBlock(firstRow: 0, rows: 2, columns: 2)
    _ = scene.receive(
      .activations(Activations(turn: 0, subBatch: 1, block: block)),
      frames: [Fixture.integers(2), Fixture.floats(4)], from: NodeID(1))
    _ = scene.receive(
      .exchange(Exchange(turn: 0, subBatch: 1, index: 0)), frames: [Fixture.floats(2)],
      from: NodeID(12))
    #expect(scene.core.gate.dropped == [.unexpected: 2])
  }

  @Test func `messages of another run, a former life or an old view are dropped`() {
    var scene = Self.collecting()
    _ = scene.enter(Fixture.view(2))
    var header = Fixture.header(NodeID(1), view: 2)
    header.run = 78
    _ = scene.send(Message(header, .goodbye))
    header = Fixture.header(NodeID(1), view: 2)
    header.incarnation = 3
    _ = scene.send(Message(header, .goodbye))
    _ = scene.features(of: 0, turn: 0, rows: 0..<2, view: 1)
    _ = scene.receive(.goodbye, from: NodeID(1))
    _ = scene.receive(.view(Fixture.view(9)), from: NodeID(1))
    #expect(
      scene.core.gate.dropped == [.otherRun: 1, .oldIncarnation: 1, .oldView: 1, .unexpected: 2])
    #expect(scene.core.viewNumber == 2)
  }

  // MARK: The end

  @Test func `the last view commits and collects`() {
    var scene = Self.afterFirstTurn()
    var said = scene.enter(Fixture.view(2, resumeTurn: 1, isFinal: true))
    #expect(said == ["apply step 0", "meet fc 1", "collect"])
    #expect(scene.waits == ["compute thread: its slices"])
    said = scene.finishAll()
    #expect(said == ["slice -> server, bulk", "slice (last) -> server, bulk"])
    #expect(scene.waits == ["server: the end of the run"])
    said = scene.receive(.stop(Stop(outcome: .finished, reason: "all steps done")))
    #expect(said == ["goodbye -> server", "exit, finished: all steps done"])
  }

  @Test func `asked again, it hands its slices in again`() {
    var scene = Self.afterFirstTurn()
    _ = scene.enter(Fixture.view(2, resumeTurn: 1, isFinal: true))
    _ = scene.finishAll()
    let said = scene.enter(Fixture.view(3, resumeTurn: 1, isFinal: true)) + scene.finishAll()
    #expect(
      said == ["meet fc 1", "collect", "slice -> server, bulk", "slice (last) -> server, bulk"])
    #expect(scene.core.appliedSteps == 1)
  }

  @Test func `stopped in the middle of a turn, it hands in what is committed`() {
    var scene = Self.afterFirstTurn()
    _ = scene.allFeatures(turn: 1)
    _ = scene.finishAll()
    let said = scene.enter(Fixture.view(2, resumeTurn: 1, isFinal: true))
    #expect(said == ["meet fc 1", "collect"])
    #expect(scene.core.appliedSteps == 1)
  }

  @Test func `in a pause it waits for workers`() {
    var scene = Self.collecting()
    _ = scene.enter(Fixture.view(2, workers: []))
    #expect(scene.waits == ["server: a view with workers"])
    let said =
      scene.enter(Fixture.view(3, workers: [4]))
      + scene.features(
        of: 4, turn: 0, rows: 0..<4)
    #expect(said == ["meet fc 1", "train 4 at step 0: 0+4"])
  }

  @Test func `left out of a view it goes`() {
    var scene = Self.collecting()
    let said = scene.enter(Fixture.view(2, fcNodes: [1]))
    #expect(said == ["goodbye -> server", "exit, interrupted: left the run"])
  }

  @Test func `who leaves stays to hand in its slices`() {
    var scene = Self.collecting()
    var said = scene.leave("asked to")
    #expect(said == ["leave: asked to -> server"])
    said = scene.enter(Fixture.view(2, isFinal: true))
    #expect(said == ["meet fc 1", "collect"])
  }

  @Test func `a computation that fails ends the process with its reason`() {
    var scene = Self.collecting()
    _ = scene.allFeatures(turn: 0)
    let said = scene.fail("out of memory")
    #expect(said == ["leave: out of memory -> server", "exit, failed: out of memory"])
  }

  @Test func `a heartbeat carries so many waits and no more`() throws {
    var scene = FCScene(Fixture.plan(workers: 100, globalBatch: 100))
    _ = scene.enter(Fixture.view(workers: Array(0..<100).filter { $0 != 10 && $0 != 11 }))
    #expect(scene.waits.count == 98)
    let directives = scene.tick()
    guard case .send(let message, .server) = try #require(directives.first),
      case .heartbeat(let beat) = message.body
    else {
      Issue.record("no heartbeat")
      return
    }
    #expect(beat.waits.count == Heartbeat.mostWaits)
    #expect(beat.phase == "waiting for workers")
  }
}
