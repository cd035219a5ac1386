import Foundation
import Observability
import Testing
import Transport

/// What happens to `crosscut train` itself, which watches over the processes of a cluster.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct LauncherTests {
  private let cluster: TinyCluster
  private var run: String { cluster.run }

  init() throws { cluster = try TinyCluster() }

  private static let endless = ["--set", "steps=100000"]

  private func log(_ name: String) -> String { cluster.scratch.text("run/\(name).log") }

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
    #expect(eventually { state(of: program.processID) == "T" })
    _ = try cluster.reach(step: 5, at: server)
    let process = try #require(cluster.serverProcess())
    kill(process, SIGKILL)
    #expect(eventually { state(of: process).map { $0 == "Z" } ?? true })
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
      let second = try cluster.train(more + Self.endless)
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
    let program = try cluster.train(Self.endless + TinyCluster.noticesLongSilence)
    let server = try cluster.address()
    let before = try cluster.reach(step: 20, at: server)
    let all =
      [program.processID, try #require(cluster.serverProcess())] + before.nodes.map(\.processID)
    #expect(all.count == 6)
    program.send(SIGTSTP)
    #expect(eventually { all.allSatisfy { state(of: $0) == "T" } }, "\(all.map(state(of:)))")
    poll(nil, 0, TinyCluster.longSilence)
    #expect(all.allSatisfy { state(of: $0) == "T" }, "\(all.map(state(of:)))")
    program.send(SIGCONT)
    let after = try cluster.reach(step: before.step + 20, at: server)
    #expect(after.nodes.map(\.processID) == before.nodes.map(\.processID))
    #expect(log("server").contains("the server's process did not run for"), "\(log("server"))")
    #expect(!log("server").contains("is gone"), "\(log("server"))")
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    cluster.expectNoOrphans(server)
  }

  /// Kills worker-1 as soon as it is there, until nobody starts it again.
  private func giveUpWorker(_ program: Program) {
    var killed: Set<Int32> = []
    let isGivenUp = eventually {
      if let worker = cluster.process("worker-1"), killed.insert(worker).inserted {
        kill(worker, SIGKILL)
      }
      return program.output.contains("worker-1 is not started again")
    }
    #expect(isGivenUp, "\(program.output)")
    #expect(killed.count >= 6)
  }

  @Test func `a worker that dies at once each time is given up, and the run goes on`() throws {
    let program = try cluster.train(Self.endless)
    let server = try cluster.address()
    _ = try cluster.reach(step: 5, at: server)
    giveUpWorker(program)
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

  @Test func `a server that dies after a worker was given up goes on without it`() throws {
    let program = try cluster.train(
      Self.endless + [
        "--set", "cluster.progressTimeoutSeconds=5", "--set", "checkpoint.everySteps=100",
      ])
    let server = try cluster.address()
    _ = try cluster.reach(step: 5, at: server)
    giveUpWorker(program)
    let before = try cluster.reach(step: 200, at: server)
    kill(try #require(cluster.serverProcess()), SIGKILL)
    #expect(eventually { program.output.contains("server started again") }, "\(program.output)")
    #expect(
      eventually { log("server").contains(": the run goes on with 1 worker") }, "\(log("server"))")
    _ = try cluster.reach(step: before.step + 50, at: server)
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    cluster.expectNoOrphans(server)
  }

  @Test func `a pause of others does not end a run in which a worker was given up`() throws {
    let program = try cluster.train(
      Self.endless + TinyCluster.noticesSilence + ["--set", "checkpoint.everySteps=100"])
    let server = try cluster.address()
    _ = try cluster.reach(step: 5, at: server)
    giveUpWorker(program)
    // After a minute nobody is taken for one that is still on its way: there is no event to wait for.
    poll(nil, 0, 61_000)
    let before = try cluster.reach(step: 200, at: server)
    let node = try #require(before.nodes.first { "\($0.name)" == "fc 0" })
    #expect(kill(node.processID, SIGSTOP) == 0)
    #expect(eventually { log("server").contains("fc 0 is gone: silent for") }, "\(log("server"))")
    // The launcher has asked for the status meanwhile, and more than once.
    poll(nil, 0, 2000)
    kill(node.processID, SIGCONT)
    _ = try cluster.reach(step: before.step + 50, at: server)
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
    #expect(state(of: process) == "T")
    kill(process, SIGCONT)
    #expect(
      eventually { log("server").contains(/view [2-9]: worker 0, worker 1;/) },
      "\(log("server"))")
    _ = try cluster.reach(step: before.step + 50, at: server)
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    cluster.expectNoOrphans(server)
  }

  @Test func `a server that takes long to come back is waited for`() throws {
    let program = try cluster.train(Self.endless + ["--set", "checkpoint.everySteps=20"])
    let server = try cluster.address()
    let before = try cluster.reach(step: 50, at: server)
    let configuration = try SlowFile(at: "\(run)/config.json")
    kill(try #require(cluster.serverProcess()), SIGKILL)
    try configuration.waitForReader()
    // Longer than the 20 s that a server has to start anew.
    let isTold = eventually { program.output.contains("the server still reads its checkpoint") }
    #expect(isTold, "\(program.output)")
    try configuration.deliver()
    #expect(eventually { program.output.contains("server started again") }, "\(program.output)")
    _ = try cluster.reach(step: before.step + 50, at: server)
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    cluster.expectNoOrphans(server)
  }

  @Test func `a server that is killed while it starts again is told of`() throws {
    let program = try cluster.train(Self.endless + ["--set", "checkpoint.everySteps=20"])
    let server = try cluster.address()
    let before = try cluster.reach(step: 50, at: server)
    let configuration = try SlowFile(at: "\(run)/config.json")
    let first = try #require(cluster.serverProcess())
    kill(first, SIGKILL)
    try configuration.waitForReader()
    let second = try #require(cluster.serverProcess())
    #expect(second != first)
    // The next one reads a file again.
    try configuration.restore()
    kill(second, SIGKILL)
    #expect(eventually { program.output.contains("server started again") }, "\(program.output)")
    for process in [first, second] {
      #expect(
        program.output.contains("server (process \(process)) was killed by signal 9"),
        "\(program.output)")
    }
    _ = try cluster.reach(step: before.step + 50, at: server)
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    cluster.expectNoOrphans(server)
  }
}

extension LauncherTests {
  @Test func `those who end with a run that has failed are not told of one by one`() throws {
    let program = try cluster.train(Self.endless)
    let server = try cluster.address()
    _ = try cluster.reach(step: 5, at: server)
    // One who says no goodbye: the server waits for it before it says how the run has ended.
    let context = try Context()
    let player = try Player(context, server, incarnation: 7)
    defer {
      player.close()
      context.terminate()
    }
    try player.joins()
    let set = try Program.run("set", "lr=1e30", "--server", server)
    #expect(set.code == 0, "\(set.output)")
    #expect(program.finish() == 1, "\(program.output)")
    #expect(program.output.contains(/the run failed: step \d+ is not applied/), "\(program.output)")
    #expect(log("server").contains("no goodbye from worker 2"), "\(log("server"))")
    for words in ["exited with code", "started again"] {
      #expect(!program.output.contains(words), "\(program.output)")
    }
    cluster.expectNoOrphans(server)
  }

  @Test func `whoever dies after the program was replaced is started again`() throws {
    // As an upgrade does it: another file under the same name.
    let copy = "\(cluster.scratch.path)/crosscut"
    try FileManager.default.copyItem(atPath: Program.path, toPath: copy)
    let program = try cluster.train(Self.endless, shell: #"exec '\#(copy)' "$@""#)
    let server = try cluster.address()
    let before = try cluster.reach(step: 20, at: server)
    try FileManager.default.copyItem(atPath: "/bin/false", toPath: copy + ".new")
    #expect(rename(copy + ".new", copy) == 0)
    let worker = try #require(before.nodes.first { "\($0.name)" == "worker 0" })
    kill(worker.processID, SIGKILL)
    #expect(eventually { program.output.contains("worker-0 started again") }, "\(program.output)")
    kill(try #require(cluster.serverProcess()), SIGKILL)
    #expect(eventually { program.output.contains("server started again") }, "\(program.output)")
    _ = try cluster.reach(step: 20, at: server)
    #expect(!program.output.contains("exited with code"), "\(program.output)")
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    cluster.expectNoOrphans(server)
  }

  @Test func `a process that cannot be started again is tried again, and costs nobody else`() throws
  {
    let program = try cluster.train(Self.endless + ["--set", "checkpoint.everySteps=20"])
    let server = try cluster.address()
    let before = try cluster.reach(step: 50, at: server)
    let manager = FileManager.default
    for (name, process) in [
      ("worker-1", before.nodes.first { "\($0.name)" == "worker 1" }?.processID),
      ("server", cluster.serverProcess()),
    ] {
      // No permission stops root, a folder in its log's place does.
      try manager.moveItem(atPath: "\(run)/\(name).log", toPath: "\(run)/\(name).log.old")
      try manager.createDirectory(atPath: "\(run)/\(name).log", withIntermediateDirectories: false)
      kill(try #require(process), SIGKILL)
      #expect(
        eventually { program.output.contains("\(name).log: Is a directory; it is tried again") },
        "\(program.output)")
      if name == "worker-1" { _ = try cluster.reach(step: before.step + 50, at: server) }
      try manager.removeItem(atPath: "\(run)/\(name).log")
      #expect(
        eventually { program.output.contains("\(name) started again") }, "\(program.output)")
    }
    _ = try cluster.reach(step: before.step + 50, at: server)
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    cluster.expectNoOrphans(server)
  }
}

/// A file in whose place there is a pipe for a while: who reads it waits until it is delivered.
private final class SlowFile {
  private let path: String
  private let text: Data
  private var pipe: Int32 = -1

  init(at path: String) throws {
    self.path = path
    text = try #require(FileManager.default.contents(atPath: path))
    try FileManager.default.removeItem(atPath: path)
    try #require(mkfifo(path, 0o600) == 0)
  }

  deinit { if pipe >= 0 { close(pipe) } }

  /// Waits until somebody reads the file.
  func waitForReader() throws {
    // A pipe that nobody reads cannot be opened so.
    #expect(
      eventually {
        pipe = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
        return pipe >= 0
      })
    try #require(pipe >= 0)
  }

  /// From now on there is a file again.
  func restore() throws { try text.write(to: URL(fileURLWithPath: path), options: .atomic) }

  /// Gives the reader what it waits for.
  func deliver() throws {
    try restore()
    try #require(text.withUnsafeBytes { write(pipe, $0.baseAddress, $0.count) } == text.count)
    close(pipe)
    pipe = -1
  }
}
