import Messages
import Network
import Testing

@testable import Coordination

/// Who may come, who goes, and what the others hear of it.
@Suite struct ServerMembershipTests {
  private static func views(_ lines: [String]) -> [String] {
    lines.filter { $0.hasPrefix("view") }
  }

  // MARK: Coming

  @Test func `the run starts when enough are ready, whatever the order`() {
    var scene = ServerScene()
    #expect(scene.waits == ["2 more workers: to join", "2 more fc nodes: to join"])
    var said = scene.join(.fc) + scene.join(.worker)
    #expect(said == ["welcome node 1", "welcome node 2"])
    #expect(
      scene.waits == [
        "worker 0: to be ready", "1 more worker: to join", "fc 0: to be ready",
        "1 more fc node: to join",
      ])
    said = scene.beat(1, ready: false) + scene.beat(1, dataset: nil) + scene.beat(2)
    #expect(said == [])
    said = scene.join(.worker) + scene.join(.fc) + scene.beat(3)
    #expect(said == ["welcome node 3", "welcome node 4"])
    #expect(scene.waits == ["fc 1: to be ready"])
    #expect(scene.core.state == .gathering)
    said = scene.beat(4, dataset: nil)
    #expect(
      said == [
        "view 1 at turn 0 -> node 1", "view 1 at turn 0 -> node 2", "view 1 at turn 0 -> node 3",
        "view 1 at turn 0 -> node 4", "snapshot",
      ])
    #expect(scene.core.state == .running)
    #expect(scene.core.view?.workers.map(\.node) == [NodeID(2), NodeID(3)])
    #expect(scene.core.view?.fcNodes.map(\.node) == [NodeID(1), NodeID(4)])
    said = scene.finish()
    #expect(
      said == [
        "parameters of chunk 0, version 0 -> node 2", "parameters of chunk 1, version 0 -> node 2",
        "parameters of chunk 2, version 0 -> node 2", "parameters of chunk 0, version 0 -> node 3",
        "parameters of chunk 1, version 0 -> node 3", "parameters of chunk 2, version 0 -> node 3",
      ])
  }

  @Test func `who asks again is welcomed again, under the same number`() {
    var scene = ServerScene()
    let said =
      scene.join(.worker, incarnation: 100) + scene.join(.worker, incarnation: 100)
      + scene.join(.worker, incarnation: 200)
    #expect(said == ["welcome node 1", "welcome node 1", "welcome node 2"])
  }

  @Test func `an fc node too many is refused, and may come when one is lost before the start`() {
    var scene = ServerScene()
    _ = scene.join(.fc)
    _ = scene.join(.fc)
    var said = scene.join(.fc)
    #expect(said == ["refuse 300: all 2 fc slices are taken"])
    _ = scene.loseConnection(1)
    said = scene.join(.fc, preferring: 5)
    #expect(said == ["welcome node 3"])
    #expect(scene.core.membership[NodeID(3)]?.name == NodeName(.fc, 0))
  }

  @Test func `workers have a most as well`() {
    var scene = ServerScene(Fixture.plan(workers: 1))
    for _ in 0..<Membership.mostWorkers { _ = scene.join(.worker) }
    let said = scene.join(.worker, incarnation: 7)
    #expect(said == ["refuse 7: the run has 512 workers, the most there may be"])
  }

  @Test func `a worker with another data set is refused with both`() {
    var scene = ServerScene()
    _ = scene.join(.worker)
    _ = scene.join(.worker)
    _ = scene.beat(1)
    var other = Fixture.facts
    other.fingerprint = 0xAB
    let said = scene.beat(2, dataset: other)
    #expect(
      said == [
        "refuse 200: worker 1 sees another data set: 50 training and 6 evaluation examples, "
          + "fingerprint ab; the run has 50 and 6, 9"
      ])
    #expect(scene.core.membership[NodeID(2)] == nil)
    #expect(scene.waits.first == "1 more worker: to join")
  }

  @Test func `a checkpoint with more steps than the run is to have ends it with both numbers`() {
    var scene = ServerScene(Fixture.plan(steps: 3), resumeSteps: 4)
    _ = scene.join(.worker)
    _ = scene.join(.fc)
    let said = scene.beat(1)
    let reason =
      "the checkpoint has 4 steps, and the run is to have only 3: give it more steps or epochs, or"
      + " name an older checkpoint"
    #expect(said.count == 2, "both hear it: \(said)")
    #expect(scene.notes.contains("ending: \(reason)"), "\(scene.notes)")
    guard case .farewell(let stop, _) = scene.core.state else {
      Issue.record("\(scene.core.state)")
      return
    }
    #expect(stop == Stop(outcome: .failed, reason: reason))
    // One that has just as many is done.
    var done = ServerScene(Fixture.plan(steps: 3), resumeSteps: 3)
    _ = done.join(.worker)
    _ = done.beat(1)
    #expect(done.core.state == .gathering)
  }

  @Test(
    arguments: [50, 9_007_199_254_740_992] as [UInt64], [4_294_967_297, 9_007_199_254_740_992])
  func `a worker whose data set is larger than any is refused with its size`(
    training: UInt64, evaluation: UInt64
  ) {
    // So many evaluations of so many batches cannot be counted.
    var plan = Fixture.plan(globalBatch: 1, steps: 1 << 40, evaluation: .everySteps(1))
    plan.checkpointEvery = 1
    var scene = ServerScene(plan)
    _ = scene.join(.worker)
    let said = scene.beat(
      1,
      dataset: DatasetFacts(
        trainingExamples: training, evaluationExamples: evaluation, fingerprint: 1))
    #expect(
      said == [
        "refuse 100: worker 0 says that it sees \(training) training and \(evaluation) evaluation "
          + "examples; there may be 4294967296"
      ])
    #expect(scene.notes.contains { $0.hasPrefix("worker 0 refused: its data set is too large") })
    #expect(scene.core.dataset == nil)
    #expect(scene.core.membership[NodeID(1)] == nil)
  }

  @Test func `before the start the data set is that of the workers who are there`() {
    var scene = ServerScene()
    _ = scene.join(.worker)
    _ = scene.beat(1)
    _ = scene.loseConnection(1)
    _ = scene.join(.worker)
    var other = Fixture.facts
    other.fingerprint = 0xAB
    let said = scene.beat(2, dataset: other)
    #expect(said == [])
    #expect(scene.core.dataset == other)
  }

  @Test func `a worker that does not say what it trains on is not ready`() {
    var scene = ServerScene(Fixture.plan(workers: 1, fcNodes: 1))
    _ = scene.join(.worker)
    _ = scene.join(.fc)
    _ = scene.beat(2, dataset: nil)
    let said =
      scene.beat(1, dataset: nil)
      + scene.beat(
        1, dataset: DatasetFacts(trainingExamples: 0, evaluationExamples: 1, fingerprint: 1))
    #expect(said == [])
    #expect(scene.core.state == .gathering)
    #expect(scene.core.droppedMessages == [.unexpected: 2])
  }

  @Test func `observers and servers cannot join`() {
    var scene = ServerScene()
    let said = scene.join(.observer) + scene.join(.server)
    #expect(said == [])
    #expect(scene.core.droppedMessages == [.unexpected: 2])
  }

  @Test func `a late worker is taken in at the next commit`() {
    var scene = ServerScene.started()
    _ = scene.join(.worker)
    var said = scene.beat(5)
    #expect(said == [])
    said = scene.train(turn: 0)
    #expect(
      Self.views(said) == [1, 2, 5, 3, 4].sorted().map { "view 2 at turn 1 -> node \($0)" })
    #expect(!said.contains { $0.hasPrefix("advance") })
    #expect(said.contains("parameters of chunk 0, version 1 -> node 5"))
    #expect(scene.core.view?.workers.map(\.node) == [NodeID(1), NodeID(2), NodeID(5)])
  }

  // MARK: Going

  @Test func `a worker that leaves works to the next commit`() {
    var scene = ServerScene.started()
    var said = scene.leave(1)
    #expect(said == [])
    said = scene.train(turn: 0)
    #expect(Self.views(said) == [1, 2, 3, 4].map { "view 2 at turn 1 -> node \($0)" })
    #expect(scene.core.view?.workers.map(\.node) == [NodeID(2)])
    said = scene.receive(.goodbye, from: 1)
    #expect(said == [])
    #expect(scene.core.membership[NodeID(1)] == nil)
    said = scene.train(turn: 1, workers: [2])
    #expect(said.contains("committed turn 1"))
  }

  @Test func `a worker that dies has its turn run again without it`() {
    var scene = ServerScene.started()
    _ = scene.push(2, from: 1, turn: 0, value: 5)
    _ = scene.push(2, from: 2, turn: 0, value: 7)
    let said = scene.loseConnection(1)
    #expect(said == [2, 3, 4].map { "view 2 at turn 0 -> node \($0)" } + ["snapshot"])
    // What was under way for the old view counts no more.
    let results = scene.finishAll()
    #expect(results.allSatisfy { $0.hasSuffix("version 0 -> node 2") })
    let late = scene.push(0, from: 2, turn: 0, view: 1) + scene.push(0, from: 1, turn: 0, view: 1)
    #expect(late == [])
    #expect(scene.core.droppedMessages == [.oldView: 1, .notAMember: 1])
    let again = scene.push(2, from: 2, turn: 0, value: 8)
    #expect(again == ["apply chunk 2 at step 0 from 8.0"])
  }

  @Test func `a death is noticed by silence too`() {
    var scene = ServerScene.started()
    var said = scene.wait(milliseconds: 2000)
    for node in [2, 3, 4] { said += scene.beat(node) }
    said += scene.wait(milliseconds: 1000)
    #expect(said == [])
    said = scene.wait(milliseconds: 1)
    #expect(Self.views(said) == [2, 3, 4].map { "view 2 at turn 0 -> node \($0)" })
    #expect(scene.notes.contains("worker 0 is gone: silent for 3001 ms"))
  }

  @Test func `time in which the server did not run is nobody's silence`() {
    var scene = ServerScene.started()
    _ = scene.wait(milliseconds: 2000)
    for node in [2, 3, 4] { _ = scene.beat(node) }
    let said = scene.standStill(milliseconds: 60_000) + scene.wait(milliseconds: 0)
    #expect(said == [])
    #expect(scene.notes.last?.contains("did not run for 60000 ms") == true, "\(scene.notes)")
    // What it had heard of before counts on: worker 0 was silent for 2 s then.
    #expect(scene.wait(milliseconds: 1000) == [])
    let later = scene.wait(milliseconds: 1)
    #expect(Self.views(later) == [2, 3, 4].map { "view 2 at turn 0 -> node \($0)" })
    #expect(scene.notes.contains { $0.hasPrefix("worker 0 is gone: silent for 3001 ms") })
  }

  @Test func `an fc node that dies leads back to the initial values, once another has come`() {
    var scene = ServerScene.started()
    _ = scene.train(turn: 0)
    let said = scene.loseConnection(4)
    #expect(said == ["roll back to 0 steps", "restore 1 after 0 steps, initial -> node 3"])
    #expect(scene.core.state == .paused)
    #expect(
      scene.notes.contains {
        $0.contains("fc 1's slice of the fc layers is lost with it: back to the initial values, 1 ")
      }, "\(scene.notes)")
    #expect(scene.waits == ["fc 0: to be ready", "1 more fc node: to join"])
  }

  @Test func `where the fc layers are to be cut anew, a death ends the server's part in the run`() {
    var plan = Fixture.plan()
    plan.recutsOnLoss = true
    var scene = ServerScene.started(plan)
    let said = scene.loseConnection(4)
    #expect(said == ["recut among 1"])
    #expect(scene.core.state == .over)
  }

  @Test func `the layers are cut among all that are left, though none of them is ready`() {
    var plan = Fixture.plan(fcNodes: 3)
    plan.recutsOnLoss = true
    plan.shards = ShardMap(plan.chunks, count: 2)
    var scene = ServerScene(plan)
    for role in [Role.worker, .worker, .fc, .fc, .fc, .shard] { _ = scene.join(role) }
    for node in 1...6 { _ = scene.beat(node) }
    #expect(scene.core.state == .running)
    // The shard's loss has everybody given its parameters anew.
    _ = scene.loseConnection(6)
    #expect(scene.core.ready(.fc).isEmpty)
    #expect(scene.loseConnection(4) == ["recut among 2"])
  }

  @Test func `with too few workers the run pauses, and goes on when one comes`() {
    var plan = Fixture.plan()
    plan.minimumWorkers = 2
    var scene = ServerScene.started(plan)
    let said = scene.loseConnection(1)
    #expect(Self.views(said) == [3, 4].map { "view 2 at turn 0 -> node \($0)" })
    #expect(scene.core.state == .paused)
    #expect(scene.notes.contains("paused: 1 worker left, waiting for 1 more"), "\(scene.notes)")
    #expect(scene.waits == ["1 more worker: to join"])
  }

  @Test func `a worker that wants to go while the run is paused may go at once`() {
    var plan = Fixture.plan()
    plan.minimumWorkers = 2
    var scene = ServerScene.started(plan)
    // Nobody has told worker 1 that it is in no view any more.
    _ = scene.loseConnection(1)
    #expect(scene.leave(2) == ["stop: left the run -> node 2"])
    #expect(scene.core.membership[NodeID(2)] == nil)
    var waiting = ServerScene.started()
    _ = waiting.loseConnection(4)
    #expect(waiting.core.state == .paused)
    #expect(waiting.leave(1).last == "stop: left the run -> node 1")
    #expect(waiting.core.membership[NodeID(1)] == nil)
  }

  @Test func `an fc node that leaves hands in its slice first`() {
    var scene = ServerScene.started()
    var said = scene.leave(3)
    #expect(said == [1, 2, 3, 4].map { "view 2 (final) at turn 0 -> node \($0)" })
    _ = scene.slice(from: 3)
    _ = scene.slice(from: 4)
    said = scene.finishAll()
    #expect(said == [1, 2, 3, 4].map { "stop: fc 0 leaves: asked to -> node \($0)" })
  }

  @Test func `without workers the run pauses until one comes`() {
    var scene = ServerScene.started()
    _ = scene.train(turn: 0)
    _ = scene.leave(2)
    var said = scene.loseConnection(1)
    // The one who leaves need not wait for that.
    #expect(said == [2, 3, 4].map { "view 2 at turn 1 -> node \($0)" })
    #expect(scene.core.state == .paused)
    #expect(scene.core.view?.workers == [])
    #expect(scene.waits == ["1 more worker: to join"])
    _ = scene.receive(.goodbye, from: 2)
    said = scene.push(0, from: 2, turn: 1)
    #expect(said == [])
    _ = scene.join(.worker)
    #expect(scene.waits == ["worker 0: to be ready"])
    said = scene.beat(5)
    #expect(said == [3, 4, 5].map { "view 3 at turn 1 -> node \($0)" } + ["snapshot"])
    said = scene.finishAll()
    #expect(said.count == 3 && said.allSatisfy { $0.hasSuffix("version 1 -> node 5") })
  }

  @Test func `a message from nobody we know is counted and forgotten`() {
    var scene = ServerScene.started()
    let said = scene.beat(9) + scene.push(0, from: 9, turn: 0)
    var header = Fixture.header(NodeID(1))
    header.incarnation = 1
    let reborn = scene.send(Message(header, .goodbye))
    header.run = 1
    let foreign = scene.send(Message(header, .goodbye))
    #expect(said + reborn + foreign == [])
    #expect(scene.core.droppedMessages == [.notAMember: 2, .oldIncarnation: 1, .otherRun: 1])
    #expect(scene.core.membership[NodeID(1)] != nil)
  }
}
