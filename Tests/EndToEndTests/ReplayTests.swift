import Foundation
import Observability
import Testing

/// What real processes have kept of themselves, and what a replay makes of it.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct ReplayTests {
  private let cluster: TinyCluster

  init() throws { cluster = try TinyCluster() }

  @Test func `a run is replayed, and everybody decides as they did`() throws {
    let program = try cluster.train(["--set", "steps=60"])
    #expect(program.finish() == 0, "\(program.output)")
    let replay = try Program.run("replay", cluster.run)
    #expect(replay.code == 0, "\(replay.output)")
    let lines = replay.output.split(separator: "\n")
    for node in ["server", "worker 0", "worker 1", "fc 0", "fc 1"] {
      let line = lines.first { $0.hasPrefix("\(node) (process ") } ?? ""
      #expect(
        line.contains("; replayed ") && line.hasSuffix("all as they were"), "\(replay.output)")
      #expect(!line.contains("replayed 0 "), "\(line)")
    }
    #expect(replay.output.contains("view 1: worker 0, worker 1; 2 fc nodes; turn 0"))
    #expect(replay.output.contains("  turns "), "\(replay.output)")
    let messages = try Program.run("replay", cluster.run, "--messages", "--seconds", "1000")
    #expect(messages.output.contains("<- push of turn 12, chunk 0 from node"), "\(messages.output)")
  }

  @Test func `who was killed has left its last messages behind`() throws {
    let program = try cluster.train(["--set", "steps=1000000", "--set", "checkpoint.everySteps=50"])
    let server = try cluster.address()
    let before = try cluster.reach(step: 60, at: server)
    for name in ["worker 1", "fc 0"] {
      let node = try #require(before.nodes.first { "\($0.name)" == name })
      kill(node.processID, SIGKILL)
    }
    let isBack = eventually {
      cluster.text("run/server.log").components(separatedBy: "is gone").count > 2
    }
    #expect(isBack, "\(cluster.text("run/server.log"))")
    let status = try cluster.reach(step: 61, at: server)
    _ = try cluster.reach(step: status.step + 20, at: server)
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    let replay = try Program.run("replay", cluster.run)
    #expect(replay.code == 0, "\(replay.output)")
    for name in ["worker 1", "fc 0"] {
      let node = try #require(before.nodes.first { "\($0.name)" == name })
      #expect(
        replay.output.contains("\(name) (process \(node.processID)): "), "\(replay.output)")
    }
    #expect(replay.output.contains("worker 1 is gone: its connection closed"))
  }

  @Test func `where lives before a change of the configuration differ, that is the reason`() throws
  {
    let first = try cluster.train(["--set", "steps=30", "--set", "checkpoint.everySteps=10"])
    #expect(first.finish() == 0, "\(first.output)")
    let second = try Program([
      "train", "--resume", cluster.run, "--set", "steps=60", "--listen", "tcp://127.0.0.1:0",
    ])
    #expect(second.finish() == 0, "\(second.output)")
    let replay = try Program.run("replay", cluster.run)
    #expect(replay.code == 0, "\(replay.output)")
    let changed = "not replayed: the run's configuration has changed since"
    // The server went on for more steps; what members did is the same.
    let apart = replay.output.components(separatedBy: changed).count - 1
    let agreeing = replay.output.components(separatedBy: "all as they were").count - 1
    #expect(apart >= 1 && agreeing >= 5 && apart + agreeing == 10, "\(replay.output)")
  }

  @Test func `a run that ended by numbers that are not finite is replayed to its end`() throws {
    let program = try cluster.train(["--set", "optimizer.learningRate=1e20"])
    #expect(program.finish() == 1, "\(program.output)")
    #expect(program.output.contains("is not applied"), "\(program.output)")
    #expect(program.output.contains("go on with a smaller learning rate"), "\(program.output)")
    let replay = try Program.run("replay", cluster.run)
    #expect(replay.code == 0, "\(replay.output)")
    let agreed = replay.output.components(separatedBy: "all as they were").count - 1
    #expect(agreed == 5, "\(replay.output)")
  }

  @Test func `where nothing was kept, one line says so`() throws {
    let absent = try Program.run("replay", cluster.scratch.path + "/nowhere")
    #expect(absent.code == 1)
    #expect(absent.output.split(separator: "\n").count == 1, "\(absent.output)")
  }
}
