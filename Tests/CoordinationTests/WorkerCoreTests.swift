import Messages
import Tensors
import Testing

@testable import Coordination

@Suite struct WorkerCoreTests {
  /// A worker in view 1, with the first batch loaded and the first parameters installed and used:
  /// its features are out.
  private static func waitingForGradients(_ plan: RunPlan = Fixture.plan()) -> WorkerScene {
    var scene = WorkerScene(plan)
    _ = scene.enter(Fixture.view())
    _ = scene.allParameters(version: 0)
    // configure, two installs, load, two forwards, features
    _ = scene.finish(7)
    return scene
  }

  /// The same worker after its last push of turn 0.
  private static func afterFirstTurn() -> WorkerScene {
    var scene = waitingForGradients()
    _ = scene.gradients(from: 0, turn: 0)
    _ = scene.gradients(from: 1, turn: 0)
    _ = scene.finish(3)
    return scene
  }

  // MARK: A turn

  @Test func `a training turn, message by message`() {
    var scene = WorkerScene()
    var said = scene.enter(Fixture.view())
    #expect(said == ["meet fc 0, fc 1", "forget what was prefetched", "configure 2 rows"])
    said = scene.finish()
    #expect(said == ["load training 0+2", "prefetch training 4+2", "prefetch evaluation 0+2"])
    said = scene.finish()
    #expect(said == [])
    #expect(scene.waits == ["server: parameters of conv1, turn 0"])

    // A stage starts when all its chunks are there, whatever has come for the others.
    said = scene.parameters(2, version: 0)
    #expect(said == ["install stage 1 from 1"])
    said = scene.parameters(0, version: 0) + scene.finish()
    #expect(said == [])
    said = scene.parameters(1, version: 0)
    #expect(said == ["install stage 0 from 2"])
    #expect(scene.waits == ["compute thread: taking over the parameters of conv1"])
    said = scene.finish()
    #expect(said == ["forward 0"])
    #expect(scene.waits == ["compute thread: conv forward of turn 0"])
    said = scene.finish() + scene.finish()
    #expect(said == ["forward 1", "features 0+2 2+2"])
    said = scene.finish()
    #expect(said == ["features 0+2, turn 0 -> node 11", "features 0+2, turn 0 -> node 12"])
    #expect(
      scene.waits == [
        "fc 0: gradient of the features, turn 0", "fc 1: gradient of the features, turn 0",
      ])

    // Gradients in any order.
    said = scene.gradients(from: 1, turn: 0)
    #expect(said == [])
    #expect(scene.waits == ["fc 0: gradient of the features, turn 0"])
    said = scene.gradients(from: 0, turn: 0)
    #expect(said == ["absorb 2"])

    // Pushes as they are made, the last stage first.
    said = scene.finish() + scene.finish()
    #expect(said == ["backward 1", "push of chunk 2, turn 0 -> server, bulk", "backward 0"])
    said = scene.finish()
    #expect(
      said == [
        "push of chunk 0, turn 0 -> server, bulk", "push of chunk 1, turn 0 -> server, bulk",
        "load training 4+2", "prefetch evaluation 0+2", "prefetch evaluation 4+2",
      ])
    #expect(scene.core.turn == 1)
    #expect(scene.core.gate.droppedCount == 0)
  }

  @Test func `with sub-batches the next block goes forward while the fc nodes have the first`() {
    var plan = Fixture.plan()
    plan.schedule = Schedule(subBatches: 2)
    var scene = WorkerScene(plan)
    var said = scene.enter(Fixture.view())
    #expect(said.last == "configure 1 + 1 rows")
    _ = scene.allParameters(version: 0)
    said = scene.finish()
    #expect(
      said.filter { $0.hasPrefix("prefetch training") }
        == ["prefetch training 4+1", "prefetch training 6+1"])
    // Two installs, the batch, two stages, the features of block 0.
    said = scene.finish(6)
    #expect(
      said.suffix(3) == [
        "features 0+1, turn 0 -> node 11", "features 0+1, turn 0 -> node 12",
        "load training 2+1",
      ])
    // Its gradients may come before block 1 has gone forward; forward goes first.
    said = scene.gradients(from: 0, turn: 0, rows: 0..<1)
    said += scene.gradients(from: 1, turn: 0, rows: 0..<1)
    #expect(said == [])
    // Of a block that was not sent there can be none.
    said = scene.gradients(from: 1, turn: 0, subBatch: 1, rows: 2..<3)
    #expect(scene.core.gate.dropped == [.future: 1])
    said = scene.finish(4)
    #expect(
      said == [
        "forward 0 of block 1", "forward 1 of block 1", "features 0+2 2+2 of block 1",
        "features 2+1, turn 0 -> node 11", "features 2+1, turn 0 -> node 12", "absorb 2",
      ])
    // Nothing is pushed before the last block.
    said = scene.finish(3)
    #expect(said == ["backward 1", "backward 0"])
    #expect(
      scene.waits == [
        "fc 0: gradient of the features, turn 0, sub-batch 1",
        "fc 1: gradient of the features, turn 0, sub-batch 1",
      ])
    said = scene.gradients(from: 0, turn: 0, subBatch: 1, rows: 2..<3)
    said += scene.gradients(from: 1, turn: 0, subBatch: 1, rows: 2..<3)
    #expect(said == ["absorb 2 of block 1"])
    said = scene.finish(2)
    #expect(
      said == [
        "backward 1 of block 1", "push of chunk 2, turn 0 -> server, bulk",
        "backward 0 of block 1",
      ])
  }

  @Test func `parameters of the next version are installed while the batch is loaded`() {
    var scene = Self.waitingForGradients()
    _ = scene.gradients(from: 0, turn: 0)
    _ = scene.gradients(from: 1, turn: 0)
    _ = scene.finish(2)
    // The last stage is pushed, the first still goes backward: its new parameters are welcome.
    var said = scene.parameters(2, version: 1)
    #expect(said == ["install stage 1 from 1"])
    said = scene.finish() + scene.finish()
    #expect(said.last == "prefetch evaluation 4+2")
    said = scene.parameters(0, version: 1) + scene.parameters(1, version: 1)
    #expect(said == ["install stage 0 from 2"])
    // load, install 0
    said = scene.finish(2)
    #expect(said == ["forward 0"])
    // All of version 1 means that turn 0 is committed: no further leave is needed.
    said = scene.finish(2)
    #expect(said == ["forward 1", "features 0+2 2+2"])
  }

  @Test func `an evaluation turn needs no gradients, and the one after it the server's word`() {
    var scene = WorkerScene()
    _ = scene.enter(Fixture.view(resumeTurn: 2))
    _ = scene.allParameters(version: 2)
    // configure, installs, load, forwards
    var said = scene.finish(6)
    #expect(said.contains("load evaluation 0+2"))
    #expect(said.last == "features 0+2 2+2")
    said = scene.finish()
    #expect(
      said == [
        "features 0+2, turn 2 -> node 11", "features 0+2, turn 2 -> node 12",
        "done, turn 2 -> server, bulk", "load evaluation 4+2", "prefetch training 8+2",
        "prefetch evaluation 0+2",
      ])
    // The parameters are the same: forward may go on, the features may not go out.
    said = scene.finish(3)
    #expect(said == ["forward 0", "forward 1"])
    #expect(scene.waits == ["server: leave to start turn 3"])
    said = scene.receive(.advance(Advance(turn: 2)))
    #expect(said == [])
    said = scene.receive(.advance(Advance(turn: 3)))
    #expect(said == ["features 0+2 2+2"])
  }

  @Test func `leave that comes early is not asked for again`() {
    var scene = WorkerScene()
    _ = scene.enter(Fixture.view(resumeTurn: 2))
    _ = scene.allParameters(version: 2)
    _ = scene.finish(7)
    _ = scene.receive(.advance(Advance(turn: 3)))
    let said = scene.finish(3)
    #expect(said == ["forward 0", "forward 1", "features 0+2 2+2"])
  }

  @Test func `after the last turn it waits for the end`() {
    var scene = WorkerScene()
    _ = scene.enter(Fixture.view(resumeTurn: 6))
    _ = scene.allParameters(version: 3)
    let said = scene.finish(7)
    #expect(said.last == "done, turn 6 -> server, bulk")
    #expect(scene.waits == ["server: the end of the run"])
  }

  @Test func `a share without rows goes through the motions without the fc nodes`() {
    // Five workers, four rows: the last has none.
    let plan = Fixture.plan(workers: 5)
    var scene = WorkerScene(plan)
    let view = Fixture.view(workers: [1, 2, 3, 4, 0])
    _ = scene.enter(view)
    _ = scene.allParameters(version: 0)
    // configure, installs, load, forwards
    var said = scene.finish(6)
    #expect(said.suffix(1) == ["backward 1"])
    #expect(!said.contains { $0.hasPrefix("features") })
    said = scene.finish(2)
    #expect(
      said.prefix(4) == [
        "push of chunk 2, turn 0 -> server, bulk", "backward 0",
        "push of chunk 0, turn 0 -> server, bulk", "push of chunk 1, turn 0 -> server, bulk",
      ])
  }

  @Test func `a network without conv parameters says when it is done`() {
    var scene = WorkerScene(Fixture.plan(convolutional: false))
    var said = scene.enter(Fixture.view())
    // configure, load, features
    said = scene.finish(3)
    #expect(said.last == "features 0+2, turn 0 -> node 12")
    _ = scene.gradients(from: 0, turn: 0)
    _ = scene.gradients(from: 1, turn: 0)
    said = scene.finish()
    #expect(said.first == "done, turn 0 -> server, bulk")
    // No parameters tell of the commit here.
    said = scene.finish()
    #expect(scene.waits == ["server: leave to start turn 1"])
    said = scene.receive(.advance(Advance(turn: 1)))
    #expect(said == ["features 0+2 2+2"])
  }

  // MARK: What is dropped

  @Test func `parameters of the wrong size, stale, twice or too new are dropped and counted`() {
    var scene = Self.waitingForGradients()
    let said =
      scene.parameters(0, version: 1, values: 5) + scene.parameters(0, version: 2)
      + scene.parameters(0, version: 1) + scene.parameters(0, version: 1)
      + scene.receive(
        .parameters(Parameters(version: 1, chunk: 3)), frames: [Fixture.floats(3)])
      + scene.receive(.parameters(Parameters(version: 1, chunk: 1)))
    #expect(said == [])
    #expect(scene.core.gate.dropped == [.wrongSize: 3, .future: 1, .duplicate: 1])
    var later = Self.afterFirstTurn()
    _ = later.parameters(2, version: 0)
    #expect(later.core.gate.dropped == [.stale: 1])
  }

  @Test func `gradients of the wrong rows, size or turn are dropped and counted`() {
    var scene = Self.waitingForGradients()
    let said =
      scene.gradients(from: 0, turn: 0, rows: 0..<1) + scene.gradients(from: 0, turn: 0, values: 3)
      + scene.gradients(from: 0, turn: 0, rows: 2..<4) + scene.gradients(from: 0, turn: 1)
    let complaint = Complaint(node: NodeID(11), reason: "gradients of another size")
    #expect(said == ["\(Body.complaint(complaint)) -> server"])
    #expect(scene.core.gate.dropped == [.wrongSize: 3, .future: 1])
    _ = scene.gradients(from: 0, turn: 0)
    _ = scene.gradients(from: 0, turn: 0)
    #expect(scene.core.gate.dropped[.duplicate] == 1)
    _ = scene.gradients(from: 1, turn: 0)
    _ = scene.gradients(from: 1, turn: 0)
    #expect(scene.core.gate.dropped[.duplicate] == 2)
    _ = scene.finish(3)
    _ = scene.gradients(from: 1, turn: 0)
    #expect(scene.core.gate.dropped[.stale] == 1)
    #expect(scene.core.gate.droppedCount == 7)
  }

  @Test func `only an fc node of the view may send gradients`() {
    var scene = Self.waitingForGradients()
    let block = RowBlock(firstRow: 0, rows: 2, columns: 2)
    let body = Body.featureGradients(FeatureGradients(turn: 0, subBatch: 0, block: block))
    _ = scene.receive(body, frames: [Fixture.floats(4)], from: NodeID(2))
    _ = scene.receive(body, frames: [Fixture.floats(4)], from: NodeID(13))
    #expect(scene.core.gate.dropped == [.unexpected: 1, .notAMember: 1])
  }

  @Test func `there is one sub-batch a turn`() {
    var scene = Self.waitingForGradients()
    let block = RowBlock(firstRow: 0, rows: 2, columns: 2)
    _ = scene.receive(
      .featureGradients(FeatureGradients(turn: 0, subBatch: 1, block: block)),
      frames: [Fixture.floats(4)], from: NodeID(11))
    #expect(scene.core.gate.dropped == [.unexpected: 1])
  }

  @Test func `messages of another run, of a former life or of no use here are dropped`() {
    var scene = Self.waitingForGradients()
    var header = Fixture.header(NodeID(11))
    header.run = 78
    _ = scene.send(Message(header, .advance(Advance(turn: 1))))
    header = Fixture.header(NodeID(11))
    header.incarnation = 3
    _ = scene.send(Message(header, .advance(Advance(turn: 1))))
    _ = scene.receive(.goodbye, from: NodeID(11))
    _ = scene.receive(.advance(Advance(turn: 1)), view: 0)
    #expect(
      scene.core.gate.dropped == [.otherRun: 1, .oldIncarnation: 1, .unexpected: 1, .oldView: 1])
  }

  @Test func `only the server opens views and ends the run`() {
    var scene = Self.waitingForGradients()
    let said =
      scene.receive(.view(Fixture.view(2)), from: NodeID(11))
      + scene.receive(.stop(Stop(outcome: .finished, reason: "")), from: NodeID(11))
    #expect(said == [])
    #expect(scene.core.viewNumber == 1)
    #expect(scene.core.gate.dropped == [.unexpected: 2])
  }

  // MARK: Views

  @Test func `a view in the middle of a turn abandons the work`() {
    var scene = Self.waitingForGradients()
    _ = scene.gradients(from: 0, turn: 0)
    // Alone now: the whole batch is its share.
    var said = scene.enter(Fixture.view(2, workers: [0]))
    #expect(said == ["meet fc 0, fc 1", "forget what was prefetched", "configure 4 rows"])
    said = scene.gradients(from: 1, turn: 0, rows: 0..<4)
    #expect(said == [])
    #expect(scene.core.gate.dropped == [.future: 1])
    said = scene.finish()
    #expect(said.first == "load training 0+4")
    said = scene.finish()
    // The parameters it has may be those of a step that was taken back.
    #expect(scene.waits == ["server: parameters of conv1, turn 0"])
    said = scene.allParameters(version: 0)
    #expect(said == ["install stage 0 from 2", "install stage 1 from 1"])
  }

  @Test func `what an abandoned computation brings is ignored`() {
    var scene = WorkerScene()
    _ = scene.enter(Fixture.view())
    _ = scene.finish()
    // The batch of view 1 is still being loaded when view 2 comes, with other rows.
    _ = scene.enter(Fixture.view(2, workers: [1, 0]))
    _ = scene.allParameters(version: 0)
    let said = scene.finish()
    #expect(said == [])
    // load, install, install
    let next = scene.finish(3)
    #expect(next == ["forward 0"])
  }

  @Test func `the same share needs no new memory and keeps what is prefetched`() {
    var scene = Self.waitingForGradients()
    let said = scene.enter(Fixture.view(2))
    #expect(said.prefix(2) == ["meet fc 0, fc 1", "load training 0+2"])
  }

  @Test func `one that goes back keeps nothing that is prefetched of later turns`() {
    var scene = Self.waitingForGradients()
    _ = scene.enter(Fixture.view(2, resumeTurn: 5))
    let said = scene.enter(Fixture.view(3, resumeTurn: 1))
    #expect(said.contains("forget what was prefetched"), "\(said)")
    // The turn under way once more: nothing is old.
    #expect(!scene.enter(Fixture.view(4, resumeTurn: 1)).contains("forget what was prefetched"))
  }

  @Test func `what comes before its view waits for it`() {
    var scene = Self.waitingForGradients()
    var said = scene.parameters(0, version: 0, view: 2) + scene.parameters(1, version: 0, view: 2)
    #expect(said == [])
    said = scene.enter(Fixture.view(2))
    #expect(said.last == "install stage 0 from 2")
    #expect(scene.core.gate.droppedCount == 0)
  }

  @Test func `an old view is ignored`() {
    var scene = Self.waitingForGradients()
    let said = scene.enter(Fixture.view(1, resumeTurn: 5))
    #expect(said == [])
    #expect(scene.core.turn == 0)
    #expect(scene.core.gate.dropped == [.oldView: 1])
  }

  // MARK: The end

  @Test func `the last view ends the work, the stop ends the process`() {
    var scene = Self.waitingForGradients()
    var said = scene.enter(Fixture.view(2, isFinal: true))
    #expect(said == ["meet fc 0, fc 1"])
    #expect(scene.waits == ["server: the end of the run"])
    said = scene.receive(.stop(Stop(outcome: .finished, reason: "all steps done")))
    #expect(said == ["goodbye -> server", "exit, finished: all steps done"])
    said = scene.enter(Fixture.view(3))
    #expect(said == [])
  }

  @Test func `who leaves works on until a view without it comes`() {
    var scene = Self.waitingForGradients()
    var said = scene.leave("asked to")
    #expect(said == ["leave: asked to -> server"])
    _ = scene.gradients(from: 0, turn: 0)
    said = scene.gradients(from: 1, turn: 0)
    #expect(said == ["absorb 2"])
    said = scene.enter(Fixture.view(2, resumeTurn: 1, workers: [1]))
    #expect(said == ["goodbye -> server", "exit, interrupted: left the run"])
  }

  @Test func `who leaves before its first view goes at once`() {
    var scene = WorkerScene()
    let said = scene.leave("asked to")
    #expect(said == ["leave: asked to -> server", "exit, interrupted: asked to"])
  }

  @Test func `a computation that fails ends the process with its reason`() {
    var scene = WorkerScene()
    _ = scene.enter(Fixture.view())
    let said = scene.fail("out of memory")
    #expect(said == ["leave: out of memory -> server", "exit, failed: out of memory"])
  }

  @Test func `what would fail everywhere ends the run, and the worker waits for its end`() {
    var scene = WorkerScene()
    _ = scene.enter(Fixture.view())
    var said = scene.despair("no data")
    #expect(said == ["leave, the run ends: no data -> server"])
    said = scene.receive(.stop(Stop(outcome: .failed, reason: "worker 0: no data")))
    #expect(said == ["goodbye -> server", "exit, failed: worker 0: no data"])
  }

  // MARK: Signs of life

  @Test func `heartbeats come at their interval and say what it waits for`() throws {
    var scene = Self.waitingForGradients()
    scene.now = 600_000
    let first = scene.tick()
    scene.now += 499_000
    let tooSoon = scene.tick()
    scene.now += 1000
    let second = scene.tick()
    #expect(tooSoon.isEmpty && second.count == 1)
    guard case .send(let message, .server) = try #require(first.first),
      case .heartbeat(let beat) = message.body
    else {
      Issue.record("no heartbeat")
      return
    }
    #expect(beat.ready)
    #expect(beat.dataset == Fixture.facts)
    #expect(beat.phase == "waiting for fc")
    #expect(beat.waits.map(\.owner) == [.member(NodeName(.fc, 0)), .member(NodeName(.fc, 1))])
    #expect(beat.waits.map(\.milliseconds) == [599, 599])
    #expect(beat.millisecondsSinceProgress == 599)
  }

  @Test func `before the first view it waits for that`() {
    #expect(WorkerScene().waits == ["server: the next view"])
  }

  @Test func `what rounding took from a step that nobody applies is forgotten, in bf16`() {
    for format in [NumberFormat.bf16, .fp32] {
      var plan = Fixture.plan()
      plan.wire.gradients = format
      var scene = WorkerScene(plan)
      _ = scene.enter(Fixture.view(1))
      let forget = "forget the rounding of step 0"
      // The same turn once more: the first attempt's rounding is not used then.
      #expect(!scene.enter(Fixture.view(2)).contains(forget))
      #expect(
        scene.enter(Fixture.view(3, resumeTurn: 1, skipped: 1)).contains(forget)
          == (format == .bf16))
      #expect(!scene.enter(Fixture.view(4, resumeTurn: 1)).contains(forget))
    }
  }
}
