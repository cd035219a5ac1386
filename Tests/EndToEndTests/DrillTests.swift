import Foundation
import Observability
import Testing

/// Faults on a running cluster of real processes, and what `crosscut drill` says of them.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct DrillTests {
  private let cluster: TinyCluster
  private var serverLog: String { cluster.text("run/server.log") }

  init() throws { cluster = try TinyCluster() }

  private func train(_ more: [String] = []) throws -> (program: Program, server: String) {
    let program = try cluster.train(
      ["--allow-drills", "--set", "steps=1000000", "--set", "checkpoint.everySteps=20"] + more)
    let server = try cluster.address()
    _ = try cluster.reach(step: 20, at: server)
    return (program, server)
  }

  private func end(_ program: Program) {
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
  }

  private func drill(_ words: [String], at server: String) throws -> String {
    let drill = try Program(["drill"] + words + ["--server", server])
    #expect(drill.finish() == 0, "\(drill.output)\n\(serverLog)")
    return drill.output
  }

  @Test(arguments: [
    (["kill", "worker-1"], "worker 1 is gone: its connection closed"),
    (["kill", "fc-0"], "fc 0 is gone: its connection closed"),
    (["stop", "worker-1", "--seconds", "5"], "worker 1 is gone: silent for"),
    (["hang", "worker-1", "--seconds", "5"], "worker 1"),
    (["drop", "worker-0", "--rate", "50", "--seconds", "5"], "worker 0"),
    (["corrupt", "worker-1", "--rate", "50", "--seconds", "1"], "breaks the protocol"),
    (["disk-full", "--seconds", "3"], "failed, training goes on: "),
  ])
  func `a drill is noticed, named and repaired`(words: [String], noticed: String) throws {
    // Each is noticed by what its kind is noticed by: on a busy machine everybody is silent, or
    // without progress, for a moment.
    let deadline: [String] =
      switch words[0] {
      case "stop": TinyCluster.noticesSilence
      case "hang", "drop": ["--set", "cluster.progressTimeoutSeconds=2"]
      default: []
      }
    let (program, server) = try train(deadline)
    var report = ""
    // On a busy machine a fault may be over before it has hit anybody.
    for _ in 0..<5 where report.isEmpty || report.contains("not at all: nothing had to be done") {
      report = try drill(words, at: server)
    }
    let lines = report.split(separator: "\n").map(String.init)
    let said = lines.first { $0.hasPrefix("  noticed") } ?? ""
    #expect(said.contains("after ") && said.contains(noticed), "\(report)")
    #expect(serverLog.contains("operator: drill at "), "\(serverLog)")
    end(program)
  }

  @Test func `a delay costs time and nothing else`() throws {
    let (program, server) = try train()
    let report = try drill(["delay", "fc-1", "--latency", "30", "--seconds", "2"], at: server)
    #expect(report.contains("not at all: nothing had to be done"), "\(report)")
    #expect(
      eventually {
        cluster.text("run/fc-1.log").contains("drill: delay by 30 ms for 2000 ms")
      }, "\(cluster.text("run/fc-1.log"))")
    let hits = /drill over: it has hit (\d+) messages?/
    #expect(
      eventually {
        let hit = cluster.text("run/fc-1.log").firstMatch(of: hits)?.1
        return hit.flatMap { Int($0) } ?? 0 > 0
      }, "\(cluster.text("run/fc-1.log"))")
    end(program)
  }

  @Test func `a server that kills itself comes back, and the report says when`() throws {
    let (program, server) = try train()
    _ = try cluster.reach(step: 250, at: server)
    let report = try drill(["kill", "server"], at: server)
    let noticed =
      /noticed   after [0-9.]+ m?s: another server answered, the one before it for the last time after [0-9.]+ m?s/
    #expect(report.contains(noticed), "\(report)")
    #expect(report.contains("training  again after"), "\(report)")
    // Training needs no launcher, who may not have had a core to say so.
    #expect(eventually { program.output.contains("server started again") }, "\(program.output)")
    end(program)
  }

  @Test func `who was started without --allow-drills is left alone`() throws {
    let server = try Program([
      "server", cluster.configuration, "--workers", "1", "--fc-nodes", "1", "--run-dir",
      cluster.run, "--listen", "tcp://127.0.0.1:0", "--set", "steps=1000000", "--allow-drills",
    ])
    let address = try cluster.address()
    let members = try ["worker", "fc"].map { try Program([$0, "--server", address]) }
    _ = try cluster.reach(step: 5, at: address)
    for node in ["worker-0", "fc-0"] {
      let refused = try Program.run("drill", "kill", node, "--server", address)
      #expect(refused.code == 1)
      #expect(refused.output.contains("was started without --allow-drills"), "\(refused.output)")
    }
    let absent = try Program.run("drill", "kill", "worker-7", "--server", address)
    #expect(absent.code == 1 && absent.output.contains("there is no worker 7"), "\(absent.output)")
    let wrong = try Program.run("drill", "disk-full", "worker-0", "--server", address)
    #expect(wrong.code == 1 && wrong.output.contains("only the server writes"), "\(wrong.output)")
    for (words, why) in [
      (["melt"], "is no fault; there are kill, stop"), (["kill", "worker"], "is no node"),
      (["stop", "--seconds", "4000"], "at most 3600"),
    ] {
      let usage = try Program(["drill"] + words + ["--server", address])
      #expect(usage.finish() == 2)
      #expect(usage.output.contains(why), "\(usage.output)")
    }
    server.send(SIGTERM)
    #expect(server.finish() == 0, "\(server.output)")
    for member in members { #expect(member.finish() == 0) }
  }

  @Test func `a server that allows no drills refuses them, and threads have none`() throws {
    let program = try cluster.train(["--set", "steps=1000000"])
    let server = try cluster.address()
    _ = try cluster.reach(step: 5, at: server)
    let refused = try Program.run("drill", "kill", "worker-0", "--server", server)
    #expect(refused.code == 1)
    #expect(
      refused.output.contains("the server was started without --allow-drills"),
      "\(refused.output)")
    end(program)
    let threads = try Program.run("train", "lenet5", "--in-process", "--allow-drills")
    #expect(threads.code == 2 && threads.output.contains("exclude each other"))
  }
}
