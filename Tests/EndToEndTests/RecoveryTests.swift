import Foundation
import Kernels
import Observability
import Tensors
import Testing
import Training

/// Deaths of real processes that hold something, and what comes back from checkpoints.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct RecoveryTests {
  private let cluster: TinyCluster
  private var run: String { cluster.run }

  init() throws { cluster = try TinyCluster() }

  private static let gentle = TinyCluster.gentle

  private func log(_ name: String) -> String { cluster.scratch.text("run/\(name).log") }

  private func expectUndisturbed(
    within tolerance: Float, _ precision: NumberFormat = .fp32,
    _ location: SourceLocation = #_sourceLocation
  ) throws {
    try cluster.expectUndisturbed(within: tolerance, precision, location)
  }

  @Test func `a run that is stopped and resumed gives the same bits`() throws {
    let stopped = try cluster.strike(at: 150) { cluster.interrupt($0) }
    let first = stopped.program
    #expect(first.finish() == 0, "\(first.output)")
    let steps = try cluster.scratch.summary(of: "run").step
    #expect((150..<TinyCluster.steps).contains(steps), "\(steps)")
    let second = try Program(["train", "--resume", run, "--listen", "tcp://127.0.0.1:0"])
    #expect(second.finish() == 0, "\(second.output)")
    #expect(log("server").contains("goes on after"), "\(log("server"))")
    let end = try cluster.scratch.summary(of: "run")
    #expect(end.step == TinyCluster.steps)
    try expectUndisturbed(within: 0)
    // The course of the run is one: its times go on where the first life ended.
    let metrics = try MetricsFile(cluster.scratch.text("run/metrics.jsonl"), name: "metrics")
    let times = metrics.training.map(\.secondsSinceStart)
    #expect(times == times.sorted(), "\(times)")
    let earlier = try #require(end.earlierSeconds)
    #expect(earlier > 0 && times.last.map { $0 > earlier } == true)
    let events = EventRecord.all(in: cluster.scratch.text("run/events.jsonl"))
    #expect(events.map(\.secondsSinceStart) == events.map(\.secondsSinceStart).sorted())
    #expect(
      events.contains { $0.text.contains("goes on after") && $0.secondsSinceStart >= earlier })
  }

  /// One rule's velocities are the other's times the learning rate.
  @Test func `a run is not resumed under a rule that misreads its velocities`() throws {
    let more = ["--set", "checkpoint.everySteps=20"]
    let first = try cluster.train(more + ["--set", "optimizer.rule=pytorch"])
    #expect(first.finish() == 0, "\(first.output)")
    let resumed = ["train", "--resume", run, "--set", "steps=80", "--listen", "tcp://127.0.0.1:0"]
    let other = try Program(resumed + ["--set", "optimizer.rule=paper-2012"])
    #expect(other.finish() == 2, "\(other.output)")
    #expect(
      other.output.contains(
        "optimizer.rule: the checkpoint after 60 steps has velocities of \"pytorch\", which"
          + " \"paper-2012\" would misread; go on with \"pytorch\""), "\(other.output)")
    let same = try Program(resumed)
    #expect(same.finish() == 0, "\(same.output)")
  }

  @Test func `a cluster that is killed as a whole goes on with the same bits`() throws {
    let killed = try cluster.strike(at: 150, hasCheckpoint: true) { running in
      // Who starts the dead again first; nobody has time for a word.
      for process in [running.program.processID] + processes(of: [run, running.server]) {
        kill(process, SIGKILL)
      }
    }
    killed.program.finish()
    cluster.expectNoOrphans(killed.server)
    #expect(cluster.committedSteps < TinyCluster.steps)
    #expect(!cluster.scratch.exists("run/summary.json"))
    let second = try cluster.train(Self.gentle + ["--continue"])
    #expect(second.finish() == 0, "\(second.output)")
    #expect(log("server").contains("goes on after"), "\(log("server"))")
    try expectUndisturbed(within: 0)
  }

  @Test func `a run resumed with another number of workers and fc nodes goes on all the same`()
    throws
  {
    try cluster.strike(at: 150, hasCheckpoint: true) { running in
      running.program.send(SIGKILL)
      running.program.finish()
    }
    cluster.expectNoOrphans(run)
    let second = try Program([
      "train", "--resume", run, "--workers", "3", "--fc-nodes", "1", "--listen",
      "tcp://127.0.0.1:0",
    ])
    #expect(second.finish() == 0, "\(second.output)")
    try expectUndisturbed(within: 1e-5)
  }

  @Test func `a killed fc node is replaced, and the run goes on from the checkpoint`() throws {
    let struck = try cluster.strike(at: 150, hasCheckpoint: true) { running in
      kill(try running.process(of: "fc 1"), SIGKILL)
    }
    let program = struck.program
    #expect(program.finish() == 0, "\(program.output)")
    #expect(program.output.contains("fc-1 started again"), "\(program.output)")
    #expect(log("server").contains("back to the checkpoint after"), "\(log("server"))")
    try expectUndisturbed(within: 0)
    cluster.expectNoOrphans(struck.server)
  }

  @Test(arguments: Array(KernelLibrary.precisions))
  func `a killed fc node costs no step if its slice is mirrored`(precision: NumberFormat) throws {
    let more = [
      "--fc-mirror", "--set", "checkpoint.everySteps=1000000", "--set", "precision=\(precision)",
    ]
    let struck = try cluster.strike(at: 150, more) { running in
      kill(try running.process(of: "fc 1"), SIGKILL)
    }
    let program = struck.program
    #expect(program.finish() == 0, "\(program.output)")
    #expect(program.output.contains("fc-1 started again"), "\(program.output)")
    #expect(log("server").contains("is taken from its mirror, fc 0"), "\(log("server"))")
    #expect(log("server").contains(", 0 steps to repeat"), "\(log("server"))")
    try expectUndisturbed(within: 0, precision)
    cluster.expectNoOrphans(struck.server)
  }

  @Test func `a killed server comes back, and everybody joins it again`() throws {
    let struck = try cluster.strike(at: 150) { kill($0.serverProcess, SIGKILL) }
    let program = struck.program
    #expect(program.finish() == 0, "\(program.output)")
    #expect(program.output.contains("server started again"), "\(program.output)")
    #expect(log("worker-0").contains("joining again"), "\(log("worker-0"))")
    let show = try Program.run("checkpoint", "show", run)
    #expect(show.output.contains(/survived +faults: [1-9]/), "\(show.output)")
    #expect(show.output.contains("died, and another came"), "\(show.output)")
    try expectUndisturbed(within: 0)
    cluster.expectNoOrphans(struck.server)
  }

  @Test(arguments: [[], ["--fc-mirror"]])
  func `with recut the fc nodes that are left share the layers`(mirror: [String]) throws {
    let program = try cluster.strike(at: 150, ["--set", "cluster.fcLoss=recut"] + mirror) {
      kill(try $0.process(of: "fc 1"), SIGKILL)
    }.program
    #expect(program.finish() == 0, "\(program.output)")
    #expect(log("server").contains("cut anew among 1 fc nodes"), "\(log("server"))")
    try expectUndisturbed(within: 1e-5)
  }

  /// Nobody is left to share its layers.
  @Test(arguments: [["--fc-nodes", "1"], [], ["--layout", "beside"]])
  func `with recut an fc node that dies as the last one is started again`(more: [String]) throws {
    let running = try cluster.strike(at: 150, ["--fc-loss", "recut"] + more) { running in
      let nodes = running.record.nodes.filter { "\($0.name)".hasPrefix("fc") }
      #expect(nodes.count == (more.contains("1") ? 1 : 2))
      for node in nodes { kill(node.processID, SIGKILL) }
    }
    let program = running.program
    #expect(program.finish() == 0, "\(program.output)")
    #expect(program.output.contains(/(fc|worker)-0 started again/), "\(program.output)")
    #expect(!program.output.contains("fc-1 started again"), "\(program.output)")
    #expect(log("server").contains("; 1 fc nodes; turn"), "\(log("server"))")
    try expectUndisturbed(within: 1e-5)
    cluster.expectNoOrphans(running.server)
  }

  @Test func `a server that dies after a recut waits for no fc node that nobody starts`() throws {
    let program = try cluster.strike(at: 150, ["--set", "cluster.fcLoss=recut"]) { running in
      kill(try running.process(of: "fc 1"), SIGKILL)
      kill(running.serverProcess, SIGCONT)
      #expect(
        eventually {
          log("server").contains("; 1 fc nodes; turn") || !running.program.isRunning
        }, "\(log("server"))")
      try cluster.hold(running.serverProcess) { kill(running.serverProcess, SIGKILL) }
    }.program
    #expect(program.finish() == 0, "\(program.output)")
    #expect(log("server").contains("cut anew among 1 fc nodes"), "\(log("server"))")
    #expect(program.output.contains("server started again"), "\(program.output)")
    // It knew from the start, and had not to wait for what does not come.
    #expect(!log("server").contains("nobody else has come"), "\(log("server"))")
    try expectUndisturbed(within: 1e-5)
  }

  @Test func `an fc node that is told to go leaves its slice behind`() throws {
    let told = try cluster.strike(at: 130) { kill(try $0.process(of: "fc 0"), SIGTERM) }
    let (program, server) = (told.program, told.server)
    let written = eventually {
      log("server").contains("its slices are in the checkpoint")
    }
    #expect(written, "\(log("server"))")
    let replacement = try Program(["fc", "--server", server, "--listen", "tcp://127.0.0.1:0"])
    #expect(program.finish() == 0, "\(program.output)")
    #expect(replacement.finish() == 0, "\(replacement.output)")
    try expectUndisturbed(within: 0)
  }

  @Test func `a killed process takes its worker and its fc node along, and both come back`() throws
  {
    let beside = ["--layout", "beside"]
    let struck = try cluster.strike(at: 150, hasCheckpoint: true, beside) { running in
      let worker = try running.process(of: "worker 1")
      #expect(try running.process(of: "fc 1") == worker)
      kill(worker, SIGKILL)
    }
    let program = struck.program
    #expect(program.finish() == 0, "\(program.output)")
    #expect(program.output.contains("worker-1 started again"), "\(program.output)")
    #expect(log("server").contains("back to the checkpoint after"), "\(log("server"))")
    try expectUndisturbed(within: 1e-5)
    cluster.expectNoOrphans(struck.server)
  }

  @Test func `a worker with an fc node that is told to go leaves as both`() throws {
    let told = try cluster.strike(at: 130, ["--layout", "beside"]) {
      kill(try $0.process(of: "fc 0"), SIGTERM)
    }
    let (program, server) = (told.program, told.server)
    let pair = try told.process(of: "fc 0")
    let written = eventually {
      log("server").contains("its slices are in the checkpoint")
    }
    #expect(written, "\(log("server"))")
    #expect(
      eventually { !processes(of: [server]).contains(pair) },
      "\(log("worker-0"))")
    let replacement = try Program([
      "worker", "--with-fc", "--server", server, "--listen", "tcp://127.0.0.1:0",
    ])
    #expect(program.finish() == 0, "\(program.output)")
    #expect(replacement.finish() == 0, "\(replacement.output)")
    try expectUndisturbed(within: 1e-5)
  }

  @Test func `a worker that was stopped too long joins again`() throws {
    let program = try cluster.train(["--set", "steps=100000"] + TinyCluster.noticesSilence)
    let server = try cluster.address()
    let before = try cluster.reach(step: 20, at: server)
    let worker = try #require(before.nodes.first { "\($0.name)" == "worker 1" })
    kill(worker.processID, SIGSTOP)
    let gone = eventually {
      log("server").contains("worker 1 is gone")
    }
    kill(worker.processID, SIGCONT)
    #expect(gone, "\(log("server"))")
    let back = eventually {
      // Others may have been silent too long as well.
      log("server").split(separator: "worker 1 is gone").last?.contains(
        /view \d+: worker 0, worker 1;/) == true
    }
    #expect(back, "\(log("server")) \(log("worker-1"))")
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
  }

  @Test func `a cluster that is stopped as a whole blames nobody for it`() throws {
    let program = try cluster.train(["--set", "steps=100000"] + TinyCluster.noticesLongSilence)
    let server = try cluster.address()
    let before = try cluster.reach(step: 20, at: server)
    // The server goes on first, when nobody can have said anything yet.
    let processes = [try #require(cluster.process("server"))] + before.nodes.map(\.processID)
    for process in processes { #expect(kill(process, SIGSTOP) == 0) }
    poll(nil, 0, TinyCluster.longSilence)
    for process in processes { kill(process, SIGCONT) }
    _ = try cluster.reach(step: before.step + 20, at: server)
    #expect(log("server").contains("the server's process did not run for"), "\(log("server"))")
    #expect(!log("server").contains("is gone"), "\(log("server"))")
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
  }

  @Test func `a server that is stopped for some time keeps its members`() throws {
    let program = try cluster.train(["--set", "steps=100000"] + TinyCluster.noticesLongSilence)
    let server = try cluster.address()
    let before = try cluster.reach(step: 20, at: server)
    let process = try #require(cluster.process("server"))
    #expect(kill(process, SIGSTOP) == 0)
    // Until more heartbeats are unread than ZeroMQ counts of a peer elsewhere.
    poll(nil, 0, 36_000)
    kill(process, SIGCONT)
    _ = try cluster.reach(step: before.step + 20, at: server)
    #expect(cluster.process("server") == process)
    #expect(log("server").contains("the server's process did not run for"), "\(log("server"))")
    #expect(!log("server").contains(" is gone: "), "\(log("server"))")
    #expect(!log("worker-0").contains("lost the connection"), "\(log("worker-0"))")
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
  }

  @Test func `a server that was stopped while a worker died lives`() throws {
    let program = try cluster.train(["--set", "steps=100000"] + TinyCluster.noticesLongSilence)
    let server = try cluster.address()
    let before = try cluster.reach(step: 20, at: server)
    let process = try #require(cluster.process("server"))
    let worker = try #require(before.nodes.first { "\($0.name)" == "worker 1" }).processID
    #expect(kill(process, SIGSTOP) == 0)
    poll(nil, 0, 22_000)
    #expect(kill(worker, SIGKILL) == 0)
    poll(nil, 0, 1_000)
    kill(process, SIGCONT)
    _ = try cluster.reach(step: before.step + 20, at: server)
    #expect(eventually { log("server").contains("worker 1 is gone") }, "\(log("server"))")
    #expect(cluster.process("server") == process, "\(program.output)")
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
  }

  @Test func `a step whose numbers are not finite ends the run by name, and is not applied`() throws
  {
    let program = try cluster.train(["--set", "optimizer.learningRate=1e30"])
    #expect(program.finish() == 1, "\(program.output)")
    #expect(
      program.output.contains(/the run failed: step \d+ is not applied: .*(conv1|fc\d)/),
      "\(program.output)")
    // Said once, and not once more by each process that ends with it.
    #expect(!program.output.contains("exited with code"), "\(program.output)")
    #expect(log("server").contains("is not applied"))
    let found = try SafeTensorsReader(path: "\(run)/model.safetensors")
    for name in found.names {
      #expect(try found.tensor(named: name).values.allSatisfy { $0.isFinite }, "\(name)")
    }
    let audit = try Program.run("audit", run, "--json")
    #expect(audit.code == 0 && audit.output.contains(#""good": true"#), "\(audit.output)")
  }

  @Test func `the checkpoint of the best evaluation is kept and shown with its history`() throws {
    let program = try cluster.train([
      "--set", "checkpoint.everySteps=7", "--set", "steps=200", "--min-workers", "1", "--fc-loss",
      "wait",
    ])
    #expect(program.finish() == 0, "\(program.output)")
    let best = "\(run)/checkpoints/best"
    #expect(FileManager.default.fileExists(atPath: best))
    let list = try Program.run("checkpoint", "list", run)
    #expect(list.output.contains("(best)"), "\(list.output)")
    let show = try Program.run("checkpoint", "show", best)
    #expect(show.code == 0)
    for word in ["fingerprint", "seed", "survived       faults: 0", "after 0 steps: view 1"] {
      #expect(show.output.contains(word), "\(word): \(show.output)")
    }
    let verify = try Program.run("checkpoint", "verify", best)
    #expect(verify.code == 0, "\(verify.output)")
  }

  @Test func `a ledger with a line missing is no proof`() throws {
    let program = try cluster.train(["--set", "steps=40"])
    #expect(program.finish() == 0, "\(program.output)")
    let path = "\(run)/ledger.jsonl"
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    let kept = lines.filter { !$0.contains(#""step":20,"#) }
    #expect(kept.count < lines.count)
    try (kept.joined(separator: "\n") + "\n").write(toFile: path, atomically: true, encoding: .utf8)
    let audit = try Program.run("audit", path)
    #expect(audit.code == 1)
    #expect(audit.output.contains("step 20 was not applied"), "\(audit.output)")
  }

  @Test func `a forgotten checkpoint is not taken for this run's`() throws {
    let first = try cluster.train(["--set", "steps=120"])
    #expect(first.finish() == 0, "\(first.output)")
    let second = try cluster.train(["--set", "steps=120"])
    #expect(second.finish() == 2, "\(second.output)")
    #expect(second.output.contains("holds checkpoints of an earlier run: add --continue"))
    // Longer now: it goes on from the checkpoint at the end.
    let third = try cluster.train(["--set", "steps=160", "--continue"])
    #expect(third.finish() == 0, "\(third.output)")
    #expect(third.output.contains("done: 160 of 160 steps"), "\(third.output)")
    #expect(log("server").contains("goes on after 120 steps"), "\(log("server"))")
  }

  @Test func `a disk that takes no checkpoint does not stop the training`() throws {
    // A file where the folder should be: what no permission stops root from.
    try FileManager.default.createDirectory(atPath: run, withIntermediateDirectories: true)
    let program = try cluster.train(Self.gentle + ["--set", "steps=100000"])
    let server = try cluster.address()
    _ = try cluster.reach(step: 10, at: server)
    try? FileManager.default.removeItem(atPath: "\(run)/checkpoints")
    #expect(FileManager.default.createFile(atPath: "\(run)/checkpoints", contents: Data()))
    let said = eventually {
      log("server").contains("training goes on")
    }
    #expect(said, "\(log("server"))")
    let record = try cluster.reach(step: 10, at: server)
    #expect(record.events.contains { $0.text.contains("training goes on") }, "\(record.events)")
    #expect(
      eventually {
        program.output.contains(/checkpoint after \d+ steps failed, training goes on:/)
      }, "\(program.output)")
    _ = try cluster.reach(step: record.step + 50, at: server)
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
  }
}
