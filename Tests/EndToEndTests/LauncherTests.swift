import Foundation
import Observability
import Testing

/// What happens to `crosscut train` itself, which watches over the processes of a cluster.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct LauncherTests {
  private let cluster: TinyCluster
  private var run: String { cluster.run }

  init() throws { cluster = try TinyCluster() }

  private static let endless = ["--set", "steps=100000"]

  private func log(_ name: String) -> String { cluster.scratch.text("run/\(name).log") }

  /// What the kernel says that a process does: "T" of one that is stopped.
  private func state(_ process: Int32) -> Substring? {
    let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
    return text?.split(separator: ")").last?.split(separator: " ").first
  }

  @Test func `a run under nohup outlives its terminal`() throws {
    let program = try cluster.train(Self.endless, shell: "trap '' HUP")
    let server = try cluster.address()
    let before = try cluster.reach(step: 10, at: server)
    let members = before.nodes.map(\.processID)
    #expect(members.count == 4)
    let all = [program.processID, try #require(cluster.serverProcess())] + members
    for process in all { #expect(kill(process, SIGHUP) == 0) }
    let after = try cluster.reach(step: before.step + 100, at: server)
    #expect(after.nodes.map(\.processID) == members)
    #expect(!program.output.contains("SIGHUP"), "\(program.output)")
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    #expect(cluster.scratch.exists("run/model.safetensors"))
    cluster.expectNoOrphans(server)
  }

  @Test func `a server's death before the launcher has seen the run begin does not end it`() throws
  {
    let program = try cluster.train(["--set", "checkpoint.everySteps=1000000"] + Self.endless)
    let server = try cluster.address()
    // Its last child is there: from now on it would ask for the status, and is kept from it.
    #expect(eventually { cluster.process("worker-1") != nil })
    program.send(SIGSTOP)
    #expect(eventually { state(program.processID) == "T" })
    _ = try cluster.reach(step: 5, at: server)
    let process = try #require(cluster.serverProcess())
    kill(process, SIGKILL)
    #expect(eventually { state(process).map { $0 == "Z" } ?? true })
    program.send(SIGCONT)
    #expect(eventually { program.output.contains("server started again") }, "\(program.output)")
    _ = try cluster.reach(step: 5, at: server)
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    cluster.expectNoOrphans(server)
  }

  @Test func `a run begun where children are not waited for comes to its end`() throws {
    // The second command looks whether it is ignored, signal 17.
    let program = try cluster.train(
      shell: #"trap '' CHLD && grep -q 'SigIgn:.*[13579bdf]....$' /proc/self/status"#)
    #expect(program.finish() == 0, "\(program.output)")
    #expect(program.output.contains("done: 60 of 60 steps"), "\(program.output)")
    cluster.expectNoOrphans(run)
  }

  @Test func `a child's signal does not end a run in one process`() throws {
    let program = try cluster.train(["--in-process"] + Self.endless)
    let server = try #require(inProcessAddress(program))
    let before = try cluster.reach(step: 10, at: server)
    program.send(SIGCHLD)
    _ = try cluster.reach(step: before.step + 100, at: server)
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    let end = try StatusRecord.decode(Array(cluster.text("run/summary.json").utf8))
    #expect(end.message.contains("SIGINT"), "\(end.message)")
  }

  /// Of a run in one process, which writes no address.
  private func inProcessAddress(_ program: Program) -> String? {
    var found: String?
    _ = eventually {
      found = log("server").firstMatch(of: /listens at (tcp:\S+)/).map { String($0.1) }
      return found != nil
    }
    return found
  }

  @Test func `a second run in a directory leaves the one that goes on there alone`() throws {
    let program = try cluster.train(Self.endless)
    let server = try cluster.address()
    _ = try cluster.reach(step: 5, at: server)
    let configuration = cluster.text("run/config.json")
    for more in [["--seed", "77"], ["--seed", "77", "--in-process"], ["--continue"]] {
      let second = try cluster.train(more)
      #expect(second.finish() == 1, "\(second.output)")
      #expect(second.output.contains("another crosscut train runs there"), "\(second.output)")
    }
    #expect(cluster.text("run/config.json") == configuration)
    #expect(try cluster.address() == server)
    #expect(cluster.scratch.exists("run/http.address"))
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    #expect(cluster.scratch.exists("run/summary.json"))
  }

  @Test func `runs begun at the same time have directories of their own`() throws {
    let programs = try (1...3).map { seed in
      try Program(
        [
          "train", cluster.configuration, "--listen", "tcp://127.0.0.1:0", "--http", "off",
          "--seed", "\(seed)", "--set", "steps=2",
        ], directory: cluster.scratch.path)
    }
    for program in programs { #expect(program.finish() == 0, "\(program.output)") }
    let folders = try FileManager.default.contentsOfDirectory(
      atPath: "\(cluster.scratch.path)/runs")
    #expect(folders.count == 3, "\(folders)")
  }

  @Test func `Ctrl-Z stops the whole cluster, and fg has it go on`() throws {
    let program = try cluster.train(Self.endless + TinyCluster.noticesSilence)
    let server = try cluster.address()
    let before = try cluster.reach(step: 20, at: server)
    let all =
      [program.processID, try #require(cluster.serverProcess())] + before.nodes.map(\.processID)
    #expect(all.count == 6)
    program.send(SIGTSTP)
    #expect(eventually { all.allSatisfy { state($0) == "T" } }, "\(all.map(state))")
    // Longer than any silence that is borne: there is no event to wait for.
    poll(nil, 0, 4000)
    #expect(all.allSatisfy { state($0) == "T" }, "\(all.map(state))")
    program.send(SIGCONT)
    let after = try cluster.reach(step: before.step + 20, at: server)
    #expect(after.nodes.map(\.processID) == before.nodes.map(\.processID))
    #expect(log("server").contains("the server's process did not run for"), "\(log("server"))")
    #expect(!log("server").contains("is gone"), "\(log("server"))")
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    cluster.expectNoOrphans(server)
  }

  @Test func `a worker that dies at once each time is given up, and the run goes on`() throws {
    let program = try cluster.train(Self.endless)
    let server = try cluster.address()
    _ = try cluster.reach(step: 5, at: server)
    var killed: Set<Int32> = []
    let isGivenUp = eventually {
      if let worker = cluster.process("worker-1"), killed.insert(worker).inserted {
        kill(worker, SIGKILL)
      }
      return program.output.contains("worker-1 is not started again")
    }
    #expect(isGivenUp, "\(program.output)")
    #expect(killed.count >= 6)
    // Longer than the life that shows that a process works: there is no event to wait for.
    poll(nil, 0, 6000)
    let record = try cluster.reach(step: 10, at: server)
    _ = try cluster.reach(step: record.step + 50, at: server)
    #expect(cluster.process("worker-1") == nil)
    let said = program.output.split(separator: "\n").count {
      $0.contains("worker-1 is not started again")
    }
    #expect(said == 1, "\(program.output)")
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    cluster.expectNoOrphans(server)
  }

  @Test func `who dies while the server does not answer is started again`() throws {
    let program = try cluster.train(Self.endless)
    let server = try cluster.address()
    let before = try cluster.reach(step: 20, at: server)
    let process = try #require(cluster.serverProcess())
    let worker = try #require(before.nodes.first { "\($0.name)" == "worker 1" })
    #expect(kill(process, SIGSTOP) == 0)
    kill(worker.processID, SIGKILL)
    #expect(
      eventually { program.output.contains("worker-1 started again") }, "\(program.output)")
    #expect(state(process) == "T")
    kill(process, SIGCONT)
    #expect(
      eventually { log("server").contains(/view \d+: worker 0, worker 1;/.dotMatchesNewlines()) })
    _ = try cluster.reach(step: before.step + 50, at: server)
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    cluster.expectNoOrphans(server)
  }

  @Test func `a server that takes long to come back is waited for`() throws {
    let program = try cluster.train(Self.endless + ["--set", "checkpoint.everySteps=20"])
    let server = try cluster.address()
    let before = try cluster.reach(step: 50, at: server)
    // It has to be caught before it listens: whoever was too quick is killed once more.
    var stopped: Int32?
    for _ in 0..<4 where stopped == nil {
      let old = try #require(cluster.serverProcess())
      try FileManager.default.removeItem(atPath: "\(run)/server.address")
      kill(old, SIGKILL)
      var new: Int32?
      #expect(
        eventually {
          new = cluster.serverProcess()
          return new != nil && new != old
        }, "\(program.output)")
      let process = try #require(new)
      #expect(kill(process, SIGSTOP) == 0)
      if cluster.scratch.exists("run/server.address") {
        kill(process, SIGCONT)
      } else {
        stopped = process
      }
    }
    let process = try #require(stopped)
    // Longer than the 20 s that a server has to start anew.
    let isTold = eventually { program.output.contains("the server still reads its checkpoint") }
    #expect(isTold, "\(program.output)")
    #expect(state(process) == "T")
    kill(process, SIGCONT)
    #expect(eventually { program.output.contains("server started again") }, "\(program.output)")
    _ = try cluster.reach(step: before.step + 50, at: server)
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    cluster.expectNoOrphans(server)
  }
}
