import Messages
import Testing

@testable import Coordination

/// Whose gradients make a step, and when it counts.
@Suite struct ServerTurnTests {
  @Test func `a training turn, message by message`() {
    var scene = ServerScene.started()
    #expect(
      scene.waits == [
        "worker 0: gradient of conv2 chunk 0 and 2 more, turn 0",
        "worker 1: gradient of conv2 chunk 0 and 2 more, turn 0",
      ])
    // Pushes in any order, gradients in worker order.
    var said = scene.push(2, from: 2, turn: 0, value: 7)
    #expect(said == [])
    said = scene.push(2, from: 1, turn: 0, value: 5)
    #expect(said == ["apply chunk 2 at step 0 from 5.0 7.0"])
    #expect(scene.waits.last == "compute thread: a step of the parameters, turn 0")
    said = scene.push(0, from: 1, turn: 0, value: 1) + scene.push(1, from: 1, turn: 0, value: 2)
    #expect(said == [])
    // New parameters go out chunk by chunk.
    said = scene.finish()
    #expect(
      said == [
        "parameters of chunk 2, version 1 -> node 1", "parameters of chunk 2, version 1 -> node 2",
      ])
    #expect(scene.waits == ["worker 1: gradient of conv1 chunk 1 and 1 more, turn 0"])
    said = scene.push(1, from: 2, turn: 0, value: 3) + scene.push(0, from: 2, turn: 0, value: 4)
    #expect(
      said == ["apply chunk 1 at step 0 from 2.0 3.0", "apply chunk 0 at step 0 from 1.0 4.0"])
    _ = scene.finish()
    said = scene.finish()
    #expect(
      said == [
        "parameters of chunk 0, version 1 -> node 1", "parameters of chunk 0, version 1 -> node 2",
        "commit step 0", "committed turn 0", "advance to 1 -> node 1", "advance to 1 -> node 2",
        "advance to 1 -> node 3", "advance to 1 -> node 4",
      ])
    #expect(scene.core.turn == 1)
    #expect(scene.core.committedSteps == 1)
    #expect(scene.core.droppedMessages == [:])
  }

  @Test func `a gradient counts once`() {
    var scene = ServerScene.started()
    var said = scene.push(2, from: 1, turn: 0, value: 5) + scene.push(2, from: 1, turn: 0, value: 6)
    said += scene.push(2, from: 2, turn: 0, value: 7) + scene.push(2, from: 2, turn: 0, value: 8)
    #expect(said == ["apply chunk 2 at step 0 from 5.0 7.0"])
    _ = scene.finish()
    said = scene.push(2, from: 2, turn: 0, value: 8)
    #expect(said == [])
    #expect(scene.core.droppedMessages == [.duplicate: 3])
  }

  @Test func `gradients of another turn or sender are dropped and counted`() {
    var scene = ServerScene.started()
    _ = scene.train(turn: 0)
    let said =
      scene.push(0, from: 1, turn: 0) + scene.push(0, from: 1, turn: 2)
      + scene.push(0, from: 3, turn: 1) + scene.push(0, from: 1, turn: 1, view: 0)
      + scene.push(0, from: 1, turn: 1, view: 2) + scene.done(from: 1, turn: 1)
    #expect(said == [])
    #expect(
      scene.core.droppedMessages == [
        .stale: 1, .future: 2, .unexpected: 2, .oldView: 1,
      ])
  }

  @Test(arguments: [5, nil])
  func `a worker whose gradient has another size is put out and named`(values: Int?) {
    var scene = ServerScene.started()
    let said =
      values.map { scene.push(0, from: 1, turn: 0, values: $0) }
      ?? scene.receive(.push(Push(turn: 0, chunk: 3)), frames: [Fixture.floats(3)], from: 1)
    #expect(said.contains { $0.contains("it breaks the protocol") && $0.hasSuffix("-> node 1") })
    #expect(said.contains("view 2 at turn 0 -> node 2"), "\(said)")
    #expect(
      scene.notes.contains("worker 0 is gone: it breaks the protocol: a gradient of another size"))
    #expect(scene.core.droppedMessages == [.wrongSize: 1])
  }

  @Test func `a member that another complains of is put out, a stranger's complaint is dropped`() {
    var scene = ServerScene.started()
    var said = scene.receive(
      .complaint(Complaint(node: NodeID(9), reason: "nonsense")), from: 3)
    said += scene.receive(.complaint(Complaint(node: NodeID(1), reason: "nonsense")), from: 1)
    said += scene.receive(
      .complaint(Complaint(node: NodeID(1), reason: "nonsense")), from: 3, view: 0)
    #expect(said == [])
    #expect(scene.core.droppedMessages == [.unexpected: 2, .oldView: 1])
    said = scene.receive(.complaint(Complaint(node: NodeID(1), reason: "nonsense")), from: 3)
    #expect(said.contains("view 2 at turn 0 -> node 2"), "\(said)")
    #expect(
      scene.notes.contains(
        "worker 0 is gone: fc 0 says that it breaks the protocol: nonsense"))
  }

  @Test func `who breaks the protocol again and again may not come again`() {
    var scene = ServerScene.started()
    var node = 1
    for time in 1...ServerCore.mostOffences {
      let said = scene.misbehave(node)
      let mayCome = time < ServerCore.mostOffences
      #expect(said.contains { $0.contains("mayJoinAgain: \(mayCome)") }, "\(said)")
      let answer = scene.join(.worker)
      guard mayCome else {
        #expect(
          answer.count == 1 && answer[0].hasSuffix("broken the protocol 3 times"), "\(answer)")
        continue
      }
      node = 4 + time
    }
  }

  @Test func `what one member says of another locks no key out`() {
    var scene = ServerScene.started()
    var node = 1
    for time in 1...ServerCore.mostOffences {
      let said = scene.receive(
        .complaint(Complaint(node: NodeID(UInt32(node)), reason: "nonsense")), from: 3)
      // The same process may come again but for the last time.
      let mayCome = time < ServerCore.mostOffences
      #expect(said.contains { $0.contains("mayJoinAgain: \(mayCome)") }, "\(said)")
      guard mayCome else { break }
      _ = scene.finishAll()
      _ = scene.join(.worker, by: "key 1")
      node = 4 + time
      _ = scene.beat(node)
      _ = scene.train(turn: UInt64(time) - 1, workers: [2])
    }
    var answer = scene.join(.worker, by: "key 1")
    #expect(
      answer.count == 1 && answer[0].contains("it may come again 10 minutes after"), "\(answer)")
    // Another process with the same key, and the same one after a while.
    answer = scene.join(.worker, by: "key 1", host: "host 2")
    #expect(answer.contains { $0.hasPrefix("welcome") }, "\(answer)")
    scene.now += ServerCore.complaintAge
    answer = scene.join(.worker, by: "key 1")
    #expect(answer.contains { $0.hasPrefix("welcome") }, "\(answer)")
  }

  @Test func `one that may not be a member any more is told so, and is lost like any other`() {
    var scene = ServerScene.started()
    let said = scene.dismiss(1, "its key is gone")
    #expect(said.contains { $0.contains("mayJoinAgain: false") }, "\(said)")
    #expect(said.contains("view 2 at turn 0 -> node 2"), "\(said)")
    #expect(scene.notes.contains("worker 0 is gone: its key is gone"))
    // It is no offence: with its key back on the list it may come.
    let answer = scene.join(.worker)
    #expect(answer.contains { $0.hasPrefix("welcome") }, "\(answer)")
  }

  @Test func `offences count by the key that is proved, whatever a process says of itself`() {
    var scene = ServerScene.started()
    for time in 1...ServerCore.mostOffences {
      _ = scene.join(.worker, by: "key 1", host: "host \(time)")
      _ = scene.misbehave(4 + time)
    }
    let again = scene.join(.worker, by: "key 1", host: "another")
    #expect(again.count == 1 && again[0].hasSuffix("broken the protocol 3 times"), "\(again)")
    // Neither another key nor the same host without one pays for it.
    for other in ["key 2", nil] {
      let answer = scene.join(.worker, by: other, host: "host 1")
      #expect(answer.contains { $0.hasPrefix("welcome") }, "\(answer)")
    }
  }

  @Test func `the ledger says whose rows made the step`() throws {
    var scene = ServerScene.started()
    _ = scene.train(turn: 0)
    let record = try #require(scene.core.lastCommit)
    #expect(
      record
        == CommitRecord(
          turn: 0, kind: .training(step: 0), view: 1,
          shares: [NodeID(1): [0..<2], NodeID(2): [2..<4]]))
  }

  // MARK: Measures

  @Test func `a step's measure may come after its commit`() {
    var scene = ServerScene.started()
    var said = scene.report(from: 4, turn: 0)
    #expect(said == [])
    _ = scene.train(turn: 0)
    said = scene.report(from: 3, turn: 0)
    #expect(said == ["tally of 2"])
    said = scene.finish()
    #expect(said == ["measured 4 at step 0"])
  }

  @Test func `a step's measure survives the view change after its commit`() {
    var scene = ServerScene.started()
    _ = scene.join(.worker)
    _ = scene.beat(5)
    _ = scene.report(from: 3, turn: 0)
    let said = scene.train(turn: 0)
    #expect(said.contains("view 2 at turn 1 -> node 5"))
    let late = scene.report(from: 4, turn: 0, view: 1) + scene.finishAll()
    #expect(late == ["tally of 2", "measured 4 at step 0"])
  }

  @Test func `reports of a turn that is run again do not count`() {
    var scene = ServerScene.started()
    _ = scene.report(from: 3, turn: 0)
    _ = scene.loseConnection(2)
    var said = scene.report(from: 4, turn: 0, view: 1)
    #expect(said == [])
    #expect(scene.core.droppedMessages == [.stale: 1])
    said = scene.report(from: 4, turn: 0) + scene.report(from: 3, turn: 0)
    #expect(said == ["tally of 2"])
  }

  @Test func `reports that do not fit are dropped and counted`() {
    var scene = ServerScene.started()
    let said =
      scene.report(from: 3, turn: 1)
      + scene.report(from: 1, turn: 0) + scene.report(from: 3, turn: 0)
      + scene.report(from: 3, turn: 0)
    #expect(said == [])
    #expect(
      scene.core.droppedMessages == [.future: 1, .unexpected: 1, .duplicate: 1])
    _ = scene.report(from: 3, turn: 0, rows: 3)
    #expect(
      scene.notes.contains("fc 0 is gone: it breaks the protocol: a report of another size"))
    #expect(scene.core.droppedMessages[.wrongSize] == 1)
  }

  // MARK: Evaluation

  @Test func `an evaluation turn needs all workers and all reports`() {
    var scene = ServerScene.started()
    _ = scene.train(turn: 0)
    _ = scene.train(turn: 1)
    #expect(
      scene.waits == ["worker 0: its part of turn 2", "worker 1: its part of turn 2"])
    var said = scene.report(from: 3, turn: 2) + scene.done(from: 2, turn: 2)
    #expect(said == [])
    said = scene.done(from: 2, turn: 2) + scene.push(0, from: 2, turn: 2)
    #expect(said == [])
    #expect(scene.core.droppedMessages == [.duplicate: 1, .unexpected: 1])
    said = scene.done(from: 1, turn: 2)
    #expect(said == [])
    #expect(scene.waits == ["fc 1: its report of turn 2"])
    said = scene.report(from: 4, turn: 2)
    #expect(said == ["tally of 2"])
    #expect(scene.waits == ["compute thread: the measure of turn 2"])
    said = scene.finish()
    #expect(said.prefix(2) == ["committed turn 2", "advance to 3 -> node 1"])
  }

  @Test func `the batches of an evaluation add up`() {
    var scene = ServerScene.started()
    _ = scene.train(turn: 0)
    _ = scene.train(turn: 1)
    var said = scene.evaluate(turn: 2, examples: 4)
    #expect(!said.contains { $0.hasPrefix("evaluated") })
    said = scene.evaluate(turn: 3, examples: 2)
    #expect(said.contains("evaluated 6 after 2 steps"))
    #expect(said.contains("committed turn 3"))
    #expect(scene.core.committedSteps == 2)
  }

  @Test func `a batch of an evaluation that is run again counts once`() {
    var scene = ServerScene.started()
    _ = scene.train(turn: 0)
    _ = scene.train(turn: 1)
    _ = scene.evaluate(turn: 2, examples: 4)
    _ = scene.report(from: 3, turn: 3)
    _ = scene.report(from: 4, turn: 3)
    _ = scene.finishAll()
    _ = scene.done(from: 1, turn: 3)
    _ = scene.loseConnection(2)
    _ = scene.finishAll()
    var said = scene.done(from: 1, turn: 3)
    #expect(said == [])
    said = scene.report(from: 3, turn: 3) + scene.report(from: 4, turn: 3)
    #expect(said == ["tally of 2"])
  }

  // MARK: Stalls

  private static func hung(_ scene: inout ServerScene, beating nodes: [(Int, [Wait])]) -> [String] {
    var said: [String] = []
    for _ in 0..<31 {
      for (node, waits) in nodes { said += scene.beat(node, waits: waits) }
      said += scene.wait(milliseconds: 1000)
    }
    return said
  }

  private static func wait(_ owner: Wait.Owner) -> [Wait] {
    [Wait(owner: owner, what: "something", milliseconds: 1)]
  }

  @Test func `a worker that hangs is told and sent away`() {
    var scene = ServerScene.started()
    for chunk in 0..<3 { _ = scene.push(chunk, from: 1, turn: 0) }
    let own = Self.wait(.own("compute thread"))
    let said = Self.hung(
      &scene, beating: [(1, Self.wait(.member(.server))), (2, own), (3, []), (4, [])])
    #expect(
      said.prefix(4) == [
        "stop: no progress for 31000 ms -> node 2", "view 2 at turn 0 -> node 1",
        "view 2 at turn 0 -> node 3", "view 2 at turn 0 -> node 4",
      ])
    #expect(
      scene.notes.contains {
        $0 == "no progress in turn 0: worker 1 waits for its compute thread: something, for 1 ms"
      })
  }

  @Test func `the only worker is kept, and named again and again`() {
    var scene = ServerScene.started(Fixture.plan(workers: 1, fcNodes: 1))
    let own = Self.wait(.own("compute thread"))
    let said =
      Self.hung(&scene, beating: [(1, own), (2, [])])
      + Self.hung(&scene, beating: [(1, own), (2, [])])
    #expect(said == [])
    #expect(scene.notes.count { $0.hasPrefix("no progress in turn 0: worker 0") } == 2)
    // Another one makes it dispensable.
    _ = scene.join(.worker)
    let later = Self.hung(&scene, beating: [(1, own), (2, []), (3, [])])
    #expect(
      later.prefix(2) == [
        "stop: no progress for 93000 ms -> node 1", "view 2 at turn 0 -> node 2",
      ])
  }

  @Test func `where turns are short a worker that hangs is sent away the sooner`() {
    var scene = ServerScene.started(Fixture.plan(steps: 20, evaluation: .never))
    for turn in 0..<8 as Range<UInt64> {
      _ = scene.wait(milliseconds: 20)
      _ = scene.train(turn: turn)
    }
    var said: [String] = []
    let own = Self.wait(.own("compute thread"))
    for _ in 0..<11 {
      for node in [1, 3, 4] { said += scene.beat(node, waits: Self.wait(.member(.server))) }
      said += scene.beat(2, waits: own) + scene.wait(milliseconds: 1000)
    }
    #expect(said.first == "stop: no progress for 11000 ms -> node 2")
    #expect(said.dropFirst().first == "view 2 at turn 8 -> node 1")
  }

  @Test func `an fc node that hangs is named, no worker is blamed for it`() {
    var scene = ServerScene.started()
    let forFC = Self.wait(.member(NodeName(.fc, 1)))
    let said = Self.hung(
      &scene,
      beating: [(1, forFC), (2, forFC), (3, forFC), (4, Self.wait(.own("compute thread")))])
    #expect(said == [])
    #expect(scene.notes.contains { $0.hasPrefix("no progress in turn 0: fc 1 waits for its") })
  }

  @Test func `a lost message has the turn run again, then without the worker`() {
    var scene = ServerScene.started()
    let circle: [(Int, [Wait])] = [
      (1, Self.wait(.member(NodeName(.fc, 0)))), (2, Self.wait(.member(NodeName(.fc, 0)))),
      (3, Self.wait(.member(NodeName(.worker, 1)))), (4, Self.wait(.member(NodeName(.fc, 0)))),
    ]
    var said = Self.hung(&scene, beating: circle)
    #expect(said == [1, 2, 3, 4].map { "view 2 at turn 0 -> node \($0)" } + ["snapshot"])
    _ = scene.finishAll()
    said = Self.hung(&scene, beating: circle)
    #expect(
      said == ["stop: no progress for 31000 ms -> node 2"]
        + [1, 3, 4].map { "view 3 at turn 0 -> node \($0)" } + ["snapshot"])
  }
}
