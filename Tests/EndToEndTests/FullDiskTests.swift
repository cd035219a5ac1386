import Foundation
import Observability
import Testing

/// A run whose disk is really full for a while.
@Suite(
  .serialized, .timeLimit(.minutes(30)),
  .enabled(if: SmallDisk.isPossible, "mounting a file system in memory takes root"))
struct FullDiskTests {
  private let cluster: TinyCluster
  private let disk: SmallDisk
  private static let options = [
    "--set", "checkpoint.everySteps=20", "--set", "optimizer.learningRate=0.0005",
  ]

  init() throws {
    cluster = try TinyCluster()
    disk = try SmallDisk(at: cluster.run, kibibytes: 16 << 10)
  }

  private var ledger: String { cluster.text("run/ledger.jsonl") }

  /// Fills the disk until the ledger stands still while the run does many steps.
  private func fill(_ server: String) throws -> StatusRecord {
    var record = try cluster.reach(step: 50, at: server)
    #expect(eventually { cluster.text("run/server.log").contains(/checkpoint after \d+ steps\n/) })
    let isFull = try (0..<20).contains { _ in
      // A checkpoint that was given up meanwhile has left room.
      disk.fill()
      let before = ledger.utf8.count
      record = try cluster.reach(step: 1, at: server)
      record = try cluster.reach(step: record.step + 200, at: server)
      return ledger.utf8.count == before
    }
    #expect(isFull)
    #expect(cluster.committedSteps < record.step - 100)
    return record
  }

  private func expectProof(ofAtLeast step: UInt64) throws {
    let audit = try Program.run("audit", cluster.run)
    #expect(audit.code == 0, "\(audit.output)")
    #expect(
      audit.output.contains("every example of every step was applied exactly once"),
      "\(audit.output)")
    #expect(cluster.committedSteps >= step)
  }

  @Test func `a disk that is full for a while costs the ledger no step`() throws {
    let program = try cluster.train(["--set", "steps=1000000"] + Self.options)
    let server = try cluster.address()
    let full = try fill(server)
    #expect(
      full.events.contains { $0.text.contains("failed, training goes on: ") }, "\(full.events)")
    disk.makeRoom()
    #expect(eventually { cluster.committedSteps >= full.step })
    // Checkpoints count again.
    let log = "run/server.log"
    #expect(
      eventually {
        cluster.text(log).matches(of: /checkpoint after (\d+) steps\n/).contains {
          UInt64($0.output.1) ?? 0 > full.step
        }
      }, "\(cluster.text(log))")
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    #expect(
      cluster.text(log).contains(/ledger.jsonl: is written again, with \d{3,} lines/),
      "\(cluster.text(log))")
    try expectProof(ofAtLeast: full.step)
  }

  @Test func `a server that is killed while the disk is full comes back before there is room`()
    throws
  {
    let program = try cluster.train(["--set", "steps=1000000"] + Self.options)
    let server = try cluster.address()
    let full = try fill(server)
    disk.fill()
    kill(try #require(cluster.serverProcess()), SIGKILL)
    #expect(eventually { program.output.contains("server started again") }, "\(program.output)")
    let again = try cluster.reach(step: 100, at: server)
    #expect(again.run != full.run)
    #expect(try cluster.address() == server)
    disk.makeRoom()
    let record = try cluster.reach(step: again.step + 100, at: server)
    #expect(eventually { cluster.committedSteps >= record.step })
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    try expectProof(ofAtLeast: record.step)
  }

  @Test func `who is killed while the disk is full goes on, cut lines and all`() throws {
    let first = try cluster.train(["--set", "steps=1000000"] + Self.options)
    let server = try cluster.address()
    let full = try fill(server)
    for process in [first.processID] + processes(of: [cluster.run, server]) {
      kill(process, SIGKILL)
    }
    first.finish()
    cluster.expectNoOrphans(server)
    disk.makeRoom()
    if ledger.hasSuffix("\n") {
      let handle = try #require(FileHandle(forWritingAtPath: "\(cluster.run)/ledger.jsonl"))
      try handle.seekToEnd()
      try handle.write(contentsOf: Data(#"{"kind":"st"#.utf8))
      try handle.close()
    }
    let steps = full.step + 100
    let second = try cluster.train(
      ["--continue", "--set", "steps=\(steps)"] + Self.options)
    #expect(second.finish() == 0, "\(second.output)")
    let log = cluster.text("run/server.log")
    #expect(log.contains("goes on after"), "\(log)")
    #expect(log.contains("ledger.jsonl: its last line was cut short"), "\(log)")
    try expectProof(ofAtLeast: steps - 1)
  }
}
