import Foundation
import Observability
import Testing
import Training

/// Ends of a run that come twice, from several people, or from its launcher.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct EndingTests {
  private let cluster: TinyCluster
  private var run: String { cluster.run }
  private var log: String { cluster.text("run/server.log") }

  init() throws { cluster = try TinyCluster() }

  private static let endless = [
    "--set", "steps=100000", "--set", "checkpoint.everySteps=1000000", "--set",
    "evaluation.everySteps=1000000",
  ]

  /// A run that is being ended by `crosscut stop`, and cannot end: an FC node is stopped, whose slices
  /// the server waits for.
  private func held(
    _ body: (_ program: Program, _ stop: Program, _ node: Int32) throws -> Void
  ) throws {
    let program = try cluster.train(Self.endless)
    let server = try cluster.address()
    let record = try cluster.reach(step: 5, at: server)
    let node = try #require(record.nodes.first { "\($0.name)" == "fc 0" }?.processID)
    #expect(kill(node, SIGSTOP) == 0)
    let stop = try Program(["stop", run])
    #expect(eventually { log.contains("ending: ") }, "\(log)\(stop.output)")
    // A second signal is no echo of the first any more: there is no event to wait for.
    poll(nil, 0, 500)
    try body(program, stop, node)
    cluster.expectNoOrphans(server)
  }

  @Test func `two who end a run in order do not end it at once`() throws {
    try held { program, stop, node in
      let second = try Program(["stop", run])
      poll(nil, 0, 1000)
      program.send(SIGINT)
      #expect(
        eventually { program.output.contains("SIGINT: the run is ending already") },
        "\(program.output)")
      #expect(program.isRunning && stop.isRunning && second.isRunning)
      kill(node, SIGCONT)
      for stop in [stop, second] {
        #expect(stop.finish() == 0, "\(stop.output)")
        #expect(stop.output.contains("run: finished after "), "\(stop.output)")
      }
      #expect(program.finish() == 0, "\(program.output)")
    }
    #expect(!log.contains("ended at once"), "\(log)")
    #expect(cluster.scratch.exists("run/model.safetensors"))
  }

  @Test func `a server that dies while it saves is not started again, and stop says so`() throws {
    try held { program, stop, node in
      let server = try #require(cluster.serverProcess())
      kill(server, SIGKILL)
      kill(node, SIGCONT)
      #expect(stop.finish() == 1, "\(stop.output)")
      #expect(stop.output.contains("its server without saving"), "\(stop.output)")
      #expect(program.finish() == 1, "\(program.output)")
      #expect(program.output.contains("the run failed: "), "\(program.output)")
      #expect(!program.output.contains("server started again"), "\(program.output)")
    }
  }

  @Test func `a server without a launcher is ended in order by whoever asks, and however often`()
    throws
  {
    let listen = ["--listen", "tcp://127.0.0.1:0"]
    let server = try Program(
      ["server", cluster.configuration, "--run-dir", run, "--workers", "1", "--fc-nodes", "1"]
        + Self.endless + listen)
    let address = try cluster.address()
    let worker = try Program(["worker", "--server", address])
    let node = try Program(["fc", "--server", address] + listen)
    _ = try cluster.reach(step: 5, at: address)
    node.send(SIGSTOP)
    let stops = try (0..<2).map { _ in
      let stop = try Program(["stop", run])
      #expect(eventually { server.output.contains("ending: told to end") }, "\(server.output)")
      poll(nil, 0, 500)
      return stop
    }
    #expect(server.isRunning, "\(server.output)")
    node.send(SIGCONT)
    for program in stops + [server, worker, node] {
      #expect(program.finish() == 0, "\(program.output)")
    }
    #expect(cluster.scratch.exists("run/model.safetensors"))
  }

  @Test func `a run whose only worker is given up ends in order`() throws {
    let program = try cluster.train(Self.endless + ["--workers", "1"])
    let server = try cluster.address()
    _ = try cluster.reach(step: 50, at: server)
    var killed: Set<Int32> = []
    #expect(
      eventually {
        if let worker = cluster.process("worker-0"), killed.insert(worker).inserted {
          kill(worker, SIGKILL)
        }
        return program.output.contains("is not started again") || !program.isRunning
      }, "\(program.output)")
    #expect(killed.count >= 6)
    #expect(program.finish() == 1, "\(program.output)")
    #expect(
      program.output.contains(
        /the run failed: worker-0 was killed by .* not started again: it dies within seconds/),
      "\(program.output)")
    #expect(program.output.contains("crosscut train --resume \(run) goes on"), "\(program.output)")
    let newest = try CheckpointStore(directory: "\(run)/checkpoints", keep: 1).newestGood { _ in }
    let ends = cluster.text("run/ledger.jsonl").matches(of: /"kind":"end","step":(\d+)/)
    #expect(newest?.manifest.steps == ends.last.flatMap { UInt64($0.1) }, "\(ends)")
    #expect((newest?.manifest.steps ?? 0) >= 50)
    cluster.expectNoOrphans(server)
  }

  @Test func `where all have died and none can be started yet, it is tried again`() throws {
    let program = try cluster.train(
      ["--set", "steps=100000", "--set", "checkpoint.everySteps=20"])
    let server = try cluster.address()
    let before = try cluster.reach(step: 50, at: server)
    // No permission stops root, a folder in its log's place does.
    let manager = FileManager.default
    try manager.moveItem(atPath: "\(run)/server.log", toPath: "\(run)/server.log.old")
    try manager.createDirectory(atPath: "\(run)/server.log", withIntermediateDirectories: false)
    program.send(SIGSTOP)
    for process in before.nodes.map(\.processID) + [try #require(cluster.serverProcess())] {
      kill(process, SIGKILL)
    }
    program.send(SIGCONT)
    let isTold = eventually {
      program.output.contains("server.log: Is a directory; it is tried again")
    }
    #expect(isTold, "\(program.output)")
    #expect(program.isRunning, "\(program.output)")
    try manager.removeItem(atPath: "\(run)/server.log")
    #expect(eventually { program.output.contains("server started again") }, "\(program.output)")
    _ = try cluster.reach(step: before.step + 20, at: server)
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    cluster.expectNoOrphans(server)
  }

  @Test func `a terminal that takes nothing stops neither the launcher nor its end`() throws {
    let terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
    defer { close(terminal) }
    var (number, locked) = (UInt32(0), Int32(0))
    // grantpt and unlockpt are not imported: TIOCGPTN, TIOCSPTLCK.
    #expect(ioctl(terminal, 0x8004_5430, &number) == 0)
    #expect(ioctl(terminal, 0x4004_5431, &locked) == 0)
    let name = "/dev/pts/\(number)"
    let line = open(name, O_RDWR | O_NOCTTY)
    #expect(line >= 0)
    defer { close(line) }
    let program = try cluster.train(Self.endless, shell: "exec > \(name)")
    let server = try cluster.address()
    let record = try cluster.reach(step: 5, at: server)
    // Ctrl-S.
    #expect(tcflow(line, Int32(TCOOFF)) == 0)
    var entry = pollfd(fd: line, events: Int16(POLLOUT), revents: 0)
    #expect(poll(&entry, 1, 0) == 0)
    poll(nil, 0, 1000)
    let worker = try #require(record.nodes.first { "\($0.name)" == "worker 1" }?.processID)
    kill(worker, SIGKILL)
    let isReplaced = eventually { cluster.process("worker-1").map { $0 != worker } ?? false }
    #expect(isReplaced)
    program.send(SIGTERM)
    #expect(program.finish() == 0)
    #expect(cluster.scratch.exists("run/model.safetensors"))
    cluster.expectNoOrphans(server)
  }
}
