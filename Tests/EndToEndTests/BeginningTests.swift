import Foundation
import Observability
import Testing

/// What a start leaves as it is if it comes to nothing, and where a run goes on that has no checkpoint
/// of its own.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct BeginningTests {
  private let cluster: TinyCluster
  private var run: String { cluster.run }
  private var log: String { cluster.text("run/server.log") }

  init() throws { cluster = try TinyCluster() }

  private static let listen = ["--listen", "tcp://127.0.0.1:0"]
  private static let files = ["config.json", "summary.json", "rates.json", "ledger.jsonl"]

  private var contents: [String] { Self.files.map { cluster.text("run/\($0)") } }

  private func finished(_ directory: String? = nil) throws {
    let program = try cluster.train(
      ["--set", "checkpoint.everySteps=30", "--set", "checkpoint.keep=9"], runDirectory: directory)
    #expect(program.finish() == 0, "\(program.output)")
  }

  @Test func `a start that is refused changes nothing of the run that is there`() throws {
    try finished()
    try "[]".write(toFile: "\(run)/rates.json", atomically: true, encoding: .utf8)
    let before = contents
    #expect(before.allSatisfy { !$0.isEmpty })
    let other = "\(cluster.scratch.path)/other.json5"
    try cluster.text("tiny.json5").replacing("units: 16", with: "units: 24").write(
      toFile: other, atomically: true, encoding: .utf8)
    let taken = try TakenPort()
    let named = "\(run)/checkpoints/step-00000030"
    let seed = ["--seed", "9", "--set", "steps=80"]
    for (words, line) in [
      ("the network's", ["train", other, "--resume", run]),
      ("the network's", ["train", other, "--resume", run, "--in-process"]),
      ("the network's", ["server", other, "--run-dir", run, "--continue", "--insecure"]),
      ("another program has", ["train", "--resume", named, "--http", "\(taken.port)"] + seed),
      (
        "another program has",
        ["train", "--resume", named, "--in-process", "--http", "\(taken.port)"] + seed
      ),
      (
        "another program has",
        ["server", "--resume", named, "--insecure", "--http", "\(taken.port)"] + seed
      ),
    ] {
      let program = try Program(line + Self.listen)
      #expect(program.finish() == 1, "\(line): \(program.output)")
      #expect(program.output.contains(words), "\(line): \(program.output)")
      #expect(contents == before, "\(line): \(program.output)")
    }
    #expect(!cluster.scratch.exists("run/config.json.next"))
    let audit = try Program.run("audit", run)
    #expect(audit.code == 0 && audit.output.contains("ended: all steps done"), "\(audit.output)")
    let right = try Program(["train", "--resume", run, "--set", "steps=80"] + Self.listen)
    #expect(right.finish() == 0, "\(right.output)")
    #expect(cluster.text("run/config.json").contains("\"steps\": 80"))
  }

  @Test func `a run begun from another's checkpoint goes on from there until it has its own`()
    throws
  {
    let origin = "\(cluster.scratch.path)/origin"
    try finished(origin)
    let rare = ["--set", "checkpoint.everySteps=1000000", "--set", "evaluation.everySteps=1000000"]
    let first = try cluster.train(["--resume", origin, "--set", "steps=100000"] + rare)
    let server = try cluster.address()
    _ = try cluster.reach(step: 80, at: server)
    for process in [first.processID] + processes(of: [run, server]) { kill(process, SIGKILL) }
    first.finish()
    cluster.expectNoOrphans(server)
    #expect(!cluster.scratch.exists("run/checkpoints"))

    let again = ["train", "--run-dir", run, "--continue", "--set", "steps=100"] + Self.listen
    let second = try Program(again)
    #expect(second.finish() == 0, "\(second.output)")
    #expect(second.output.contains(/was begun from .*: it goes on after 60 steps/))
    #expect(log.matches(of: /goes on after 60 steps of run/).count == 2, "\(log)")
    let audit = try Program.run("audit", run)
    #expect(audit.code == 0, "\(audit.output)")
    #expect(audit.output.contains("40 steps of 16 examples, after the first 60"), "\(audit.output)")

    // It cannot once that one has gone: random values are no run's parameters after 60 steps.
    try FileManager.default.removeItem(atPath: "\(run)/checkpoints")
    let before = contents
    try FileManager.default.removeItem(atPath: origin)
    let third = try Program(again)
    #expect(third.finish() == 1, "\(third.output)")
    #expect(third.output.contains(/was begun from .*; name with --resume/), "\(third.output)")
    #expect(contents == before)
  }

  @Test func `a run that begins anew for want of a checkpoint says so`() throws {
    let rare = ["--set", "checkpoint.everySteps=1000000", "--set", "evaluation.everySteps=1000000"]
    let first = try cluster.train(["--set", "steps=100000"] + rare)
    let server = try cluster.address()
    _ = try cluster.reach(step: 5, at: server)
    for process in [first.processID] + processes(of: [run, server]) { kill(process, SIGKILL) }
    first.finish()
    cluster.expectNoOrphans(server)
    let second = try cluster.train(["--continue"])
    #expect(second.finish() == 0, "\(second.output)")
    #expect(
      second.output.contains("has no good checkpoint: the run begins anew"), "\(second.output)")
  }

  /// As when a file server is away for a moment, or a machine has no descriptors.
  @Test func `who comes back by itself waits for what cannot be read now`() throws {
    try finished()
    let before = contents
    let line = ["train", "--run-dir", run, "--continue", "--set", "steps=80"] + Self.listen
    let program = try Program(line, shell: "ulimit -n 4")
    let isTold = eventually { program.output.contains("it is tried again every second") }
    #expect(isTold, "\(program.output)")
    poll(nil, 0, 2500)
    #expect(program.isRunning, "\(program.output)")
    #expect(program.output.matches(of: /it is tried again/).count == 1, "\(program.output)")
    // Whoever does not want to wait need not.
    program.send(SIGTERM)
    #expect(program.finish() == SIGTERM, "\(program.output)")
    #expect(contents == before)
  }

  @Test func `a run directory may begin with a dash`() throws {
    let program = try Program(
      ["train", cluster.configuration, "--run-dir=-x", "--http", "off"] + Self.listen,
      directory: cluster.scratch.path)
    #expect(program.finish() == 0, "\(program.output)")
    #expect(cluster.scratch.exists("-x/model.safetensors"))
    let again = try Program(
      ["train", "--resume=-x", "--set", "steps=80", "--http", "off"] + Self.listen,
      directory: cluster.scratch.path)
    #expect(again.finish() == 0, "\(again.output)")
    #expect(cluster.text("-x/server.log").contains("goes on after 60 steps"))
  }

  @Test func `closed descriptors are not those of the run's files`() throws {
    let program = try cluster.train(shell: "exec <&- >&-")
    #expect(program.finish() == 0, "\(program.output)")
    #expect(cluster.text("run/train.pid").split(separator: "\n").count == 3)
    #expect(cluster.scratch.exists("run/model.safetensors"))
  }
}

/// A port of this machine that is taken for as long as this lives.
private final class TakenPort {
  let port: UInt16
  private let descriptor: Int32

  init() throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let size = length
    let file = descriptor
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(file, $0, size) == 0 && listen(file, 1) == 0 && getsockname(file, $0, &length) == 0
      }
    }
    port = UInt16(bigEndian: address.sin_port)
    try #require(isBound)
  }

  deinit { close(descriptor) }
}
