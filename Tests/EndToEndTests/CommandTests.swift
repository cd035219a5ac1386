import Foundation
import Observability
import Testing

/// What an operator has a running server do over the network, with real processes.
@Suite(.timeLimit(.minutes(30)))
struct CommandTests {
  private static let longRun = [
    "--set", "steps=10000000", "--set", "evaluation.everySteps=10000000", "--set",
    "checkpoint.everySteps=10000000", "--set", "logging.everySteps=10",
  ]

  @Test func `checkpoint, learning rate and end by command, kept across a resume`() throws {
    let cluster = try TinyCluster()
    let train = try cluster.train(Self.longRun)
    let server = try cluster.address()
    let before = try cluster.reach(step: 5, at: server)

    let set = try Program.run("set", "lr=0.0005", "--server", server)
    #expect(set.code == 0 && set.output.contains("learning rate 0.0005 from step"), "\(set.output)")
    #expect(set.output.contains(/the schedule times [0-9.]{1,8}\)/), "\(set.output)")
    let step = try #require(
      (set.output.firstMatch(of: /from step (\d+) on/)?.1).flatMap { UInt64($0) }, "\(set.output)")
    let after = try cluster.reach(step: step + 5, at: server)
    #expect(before.learningRate != after.learningRate)
    #expect(abs((after.learningRate ?? 0) - 0.0005) < 1e-6)

    let checkpoint = try Program.run("checkpoint", "now", "--server", server)
    #expect(checkpoint.code == 0, "\(checkpoint.output)")
    #expect(
      eventually { cluster.text("run/events.jsonl").contains("checkpoint after") })

    let stop = try Program.run("stop", "--server", server, "--reason", "enough of it")
    #expect(stop.code == 0 && stop.output.contains("the run ends: enough of it"), "\(stop.output)")
    #expect(train.finish() == 0, "\(train.output)")
    let events = cluster.text("run/events.jsonl")
    for text in ["operator: learning rate 0.0005", "operator: a checkpoint", "enough of it"] {
      #expect(events.contains(text), "\(events)")
    }

    try FileManager.default.removeItem(atPath: "\(cluster.run)/server.address")
    let again = try Program([
      "train", "--resume", cluster.run, "--listen", "tcp://127.0.0.1:0",
    ])
    let resumed = try cluster.reach(step: after.step + 10, at: try cluster.address())
    #expect(abs((resumed.learningRate ?? 0) - 0.0005) < 1e-6)
    let end = try Program.run("stop", cluster.run)
    #expect(end.code == 0, "\(end.output)")
    #expect(again.finish() == 0, "\(again.output)")
  }

  @Test func `a learning rate that was set outlives the server, and a recut`() throws {
    let cluster = try TinyCluster()
    // No checkpoint ever says anything of it.
    let train = try cluster.train(["--set", "cluster.fcLoss=recut"] + Self.longRun)
    let server = try cluster.address()
    let before = try cluster.reach(step: 5, at: server)
    let set = try Program.run("set", "lr=0.0005", "--server", server)
    let step = try #require(
      (set.output.firstMatch(of: /from step (\d+) on/)?.1).flatMap { UInt64($0) }, "\(set.output)")
    let log = { cluster.text("run/server.log") }

    kill(try #require(cluster.serverProcess()), SIGKILL)
    #expect(eventually { train.output.contains("server started again") }, "\(train.output)")
    let second = try cluster.reach(step: step + 20, at: server)
    #expect(abs((second.learningRate ?? 0) - 0.0005) < 1e-6)

    let node = try #require(second.nodes.first { "\($0.name)" == "fc 1" })
    kill(node.processID, SIGKILL)
    #expect(eventually { log().contains("; 1 fc nodes; turn") }, "\(log())")
    let third = try cluster.reach(step: step + 20, at: server)
    #expect(third.run != second.run)
    #expect(abs((third.learningRate ?? 0) - 0.0005) < 1e-6)
    #expect(before.learningRate != third.learningRate)
    let end = try Program.run("stop", cluster.run)
    #expect(end.code == 0, "\(end.output)")
    #expect(train.finish() == 0, "\(train.output)")
  }

  @Test func `commands to a server with keys need a node's key`() throws {
    let cluster = try TinyCluster()
    let server = try Program([
      "server", cluster.configuration, "--secure", "--listen", "tcp://127.0.0.1:0", "--run-dir",
      cluster.run,
    ])
    let address = try cluster.address()
    let key = "\(cluster.run)/keys/nodes/node.key"
    let stranger = try Program.run("stop", "--server", address)
    #expect(stranger.code == 1, "\(stranger.output)")
    let early = try Program.run("set", "lr=1", "--server", address, "--key-file", key)
    #expect(early.code == 1 && early.output.contains("with its first worker"), "\(early.output)")
    let stop = try Program.run("stop", "--server", address, "--key-file", key)
    #expect(stop.code == 0, "\(stop.output)")
    _ = server.finish()
  }

  @Test(arguments: [
    (["set", "lr=fast"], "a learning rate is a number above 0"),
    (["set", "lr=0"], "a learning rate is a number above 0"),
    (["set", "momentum=0.5"], "only the learning rate can be set"),
    (["stop", "runs/mine", "--server", "tcp://127.0.0.1:1"], "exclude each other"),
    (["status", "runs/mine", "--server", "tcp://127.0.0.1:1"], "exclude each other"),
  ])
  func `a wrong command is refused before anything is sent`(
    arguments: [String], expected: String
  ) throws {
    let program = try Program(arguments)
    #expect(program.finish() == 2)
    #expect(program.output.contains(expected), "\(program.output)")
  }
}
