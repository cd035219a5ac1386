import Messages
import Network
import Tensors
import Testing

@testable import Coordination

@Suite struct ShardCoreTests {
  private static func entered() -> ShardScene {
    var scene = ShardScene()
    _ = scene.enter(ShardScene.view())
    return scene
  }

  // MARK: A turn

  @Test func `a training turn, message by message`() {
    var scene = ShardScene()
    #expect(scene.enter(ShardScene.view()) == [])
    // Who has said that it is there gets the parameters, first layers first.
    #expect(
      scene.receive(.pull, from: NodeID(2)) == ["snapshot of version 0 for node 2"])
    #expect(scene.waits == ["compute thread: the parameters for a worker"])
    #expect(
      scene.finishAll() == [
        "parameters of chunk 1, version 0 -> node 2", "parameters of chunk 2, version 0 -> node 2",
      ])
    #expect(
      scene.waits == [
        "worker 0: gradient of conv2 chunk 0 and 1 more, turn 0",
        "worker 1: gradient of conv2 chunk 0 and 1 more, turn 0",
      ])
    // In rank order, whoever was first.
    #expect(scene.push(2, from: 1, turn: 0, value: 5) == [])
    #expect(scene.push(2, from: 0, turn: 0, value: 4) == ["apply chunk 2 at step 0 from 4.0 5.0"])
    #expect(scene.waits == ["compute thread: a step of the parameters, turn 0"])
    #expect(
      scene.finishAll() == [
        "parameters of chunk 2, version 1 -> node 1", "parameters of chunk 2, version 1 -> node 2",
      ])
    #expect(scene.push(1, from: 0, turn: 0) == [])
    #expect(scene.waits == ["worker 1: gradient of conv1 chunk 1, turn 0"])
    _ = scene.push(1, from: 1, turn: 0)
    #expect(
      scene.finishAll() == [
        "parameters of chunk 1, version 1 -> node 1", "parameters of chunk 1, version 1 -> node 2",
        "applied turn 0 -> server",
      ])
    #expect(scene.core.appliedSteps == 0)
    #expect(scene.receive(.advance(Advance(turn: 1))) == ["commit step 0"])
    #expect(scene.core.appliedSteps == 1)
  }

  @Test func `a gradient of the next turn means that the turn is committed`() {
    var scene = Self.entered()
    _ = scene.train(turn: 0)
    #expect(scene.push(2, from: 1, turn: 1) == ["commit step 0"])
    #expect(scene.receive(.advance(Advance(turn: 1))) == [])
    #expect(scene.core.appliedSteps == 1)
  }

  @Test func `no step is made before the server has said that its turn begins`() {
    var scene = Self.entered()
    // T0 T1 E E T2 E E: the evaluation may have lowered the learning rate of turn 4.
    _ = scene.train(turn: 0) + scene.receive(.advance(Advance(turn: 1))) + scene.train(turn: 1)
    _ = scene.receive(.advance(Advance(turn: 3)))
    var said = scene.train(turn: 4)
    #expect(said == [])
    #expect(scene.waits == ["server: the beginning of turn 4"])
    said = scene.receive(.advance(Advance(turn: 4)))
    #expect(
      said == ["apply chunk 2 at step 2 from 0.0 0.0", "apply chunk 1 at step 2 from 0.0 0.0"])
    #expect(scene.finishAll().last == "applied turn 4 -> server")
    // A view says so too.
    said = scene.enter(ShardScene.view(2, resumeTurn: 4)) + scene.train(turn: 4)
    #expect(said.last == "applied turn 4 -> server")
  }

  @Test func `evaluations are no turns of a shard`() {
    var scene = Self.entered()
    // T0 T1 E E T2 E E
    _ = scene.train(turn: 0) + scene.receive(.advance(Advance(turn: 1)))
    _ = scene.train(turn: 1)
    #expect(scene.core.turn == 4)
    #expect(scene.push(1, from: 0, turn: 2) == [])
    #expect(scene.core.gate.dropped[.stale] == 1)
    for turn in 2...4 as ClosedRange<UInt64> { _ = scene.receive(.advance(Advance(turn: turn))) }
    #expect(scene.train(turn: 4).contains("applied turn 4 -> server"))
    #expect(scene.waits == ["server: the end of the run"])
  }

  @Test func `what is not its own, of another size or time is dropped and counted`() {
    var scene = Self.entered()
    _ = scene.push(0, from: 0, turn: 0)
    _ = scene.push(99, from: 0, turn: 0, values: 1)
    _ = scene.receive(.push(Push(turn: 0, chunk: nil)), from: NodeID(1))
    _ = scene.receive(.pull, from: NodeID(11))
    #expect(scene.core.gate.dropped[.unexpected] == 4)
    // The server hears of it once a view.
    let complaint = Complaint(node: NodeID(1), reason: "a gradient of another size")
    #expect(
      scene.push(1, from: 0, turn: 0, values: 3) == ["\(Body.complaint(complaint)) -> server"])
    #expect(scene.push(1, from: 0, turn: 0, values: 3) == [])
    #expect(scene.core.gate.dropped[.wrongSize] == 2)
    _ = scene.push(1, from: 0, turn: 1)
    #expect(scene.core.gate.dropped[.future] == 1)
    _ = scene.push(1, from: 0, turn: 0)
    _ = scene.push(1, from: 0, turn: 0)
    #expect(scene.core.gate.dropped[.duplicate] == 1)
  }

  // MARK: Views

  @Test func `a view that resumes after the working turn commits it`() {
    var scene = Self.entered()
    _ = scene.train(turn: 0)
    #expect(scene.enter(ShardScene.view(2, resumeTurn: 1)) == ["commit step 0"])
    #expect(scene.core.appliedSteps == 1)
  }

  @Test func `a view that resumes at the working turn discards it`() {
    var scene = Self.entered()
    _ = scene.train(turn: 0)
    #expect(scene.enter(ShardScene.view(2, resumeTurn: 0, workers: [1])) == [])
    #expect(scene.core.appliedSteps == 0)
    _ = scene.push(2, from: 1, turn: 0)
    #expect(
      scene.push(1, from: 1, turn: 0) == ["apply chunk 1 at step 0 from 0.0"])
    #expect(scene.finishAll().contains("applied turn 0 -> server"))
  }

  @Test func `what comes before its view is kept`() {
    var scene = Self.entered()
    #expect(scene.receive(.pull, from: NodeID(1), view: 2) == [])
    #expect(
      scene.enter(ShardScene.view(2, resumeTurn: 0)) == ["snapshot of version 0 for node 1"])
  }

  @Test func `a view that expects other parameters makes it leave`() {
    var scene = Self.entered()
    let said = scene.enter(ShardScene.view(2, resumeTurn: 1))
    #expect(said.count == 2)
    #expect(said.last?.contains("resumes after 1 steps, this shard holds") == true, "\(said)")
  }

  @Test func `the last view collects, and a view without it is the end`() {
    var scene = Self.entered()
    _ = scene.train(turn: 0)
    #expect(
      scene.enter(ShardScene.view(2, resumeTurn: 1, isFinal: true)) == [
        "commit step 0", "collect 0",
      ])
    #expect(scene.finishAll() == ["slice (last) -> server, bulk"])
    var other = Self.entered()
    #expect(
      other.enter(Fixture.view(2)) == [
        "goodbye -> server", "exit, interrupted: left the run",
      ])
  }

  @Test func `a step that is not finite is refused, and passed over with the view that says so`() {
    var scene = Self.entered()
    _ = scene.push(1, from: 0, turn: 0)
    _ = scene.push(1, from: 1, turn: 0)
    #expect(scene.spoil(worker: 1) == ["fault of node 2 in turn 0: nan -> server"])
    #expect(!scene.finishAll().contains { $0.hasPrefix("applied") })
    #expect(scene.enter(ShardScene.view(2, resumeTurn: 1, skipped: 1)) == [])
    #expect(scene.core.appliedSteps == 1)
    #expect(scene.train(turn: 1).contains("applied turn 1 -> server"))
  }

  // MARK: Transfers

  @Test func `a checkpoint gets the parameters before a turn, while that is under way`() {
    var scene = Self.entered()
    _ = scene.train(turn: 0)
    _ = scene.push(2, from: 0, turn: 1)
    #expect(scene.receive(.collect(Collect(transfer: 7, turn: 1))) == ["collect 7"])
    #expect(scene.finishAll() == ["slice (last) -> server, bulk"])
    #expect(scene.receive(.collect(Collect(transfer: 8, turn: 0))) == [])
    #expect(scene.core.gate.dropped[.stale] == 1)
  }

  @Test func `a restore drops what is under way and confirms itself`() {
    var scene = Self.entered()
    _ = scene.train(turn: 0)
    #expect(
      scene.receive(.restore(Restore(transfer: 3, steps: 2, isInitial: false))) == [])
    #expect(scene.push(2, from: 0, turn: 1) == [])
    var slice = Slice(
      transfer: 3, number: 1, part: .value, key: 0, firstRow: 0, rows: 1, firstColumn: 0,
      columns: 4, isLast: true)
    // With its first piece lost it is not taken; the server gives everything anew.
    #expect(scene.receive(.slice(slice), frames: [Fixture.floats(4)]) == [])
    #expect(scene.core.restored == 0)
    _ = scene.receive(.restore(Restore(transfer: 4, steps: 2, isInitial: false)))
    slice.transfer = 4
    slice.number = 0
    #expect(scene.receive(.slice(slice), frames: [Fixture.floats(4)]) == ["place a slice"])
    #expect(scene.core.appliedSteps == 2)
    #expect(scene.core.restored == 4)
    #expect(scene.enter(ShardScene.view(2, resumeTurn: 4)) == [])
    #expect(scene.receive(.restore(Restore(transfer: 5, steps: 0, isInitial: true))) == ["redraw"])
    #expect(scene.core.appliedSteps == 0)
  }

  @Test func `one that nobody counts on leaves at once`() {
    var scene = ShardScene()
    #expect(
      scene.leave("asked to") == ["leave: asked to -> server", "exit, interrupted: asked to"])
  }
}
