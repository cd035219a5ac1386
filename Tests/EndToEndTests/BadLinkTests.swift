import Foundation
import Observability
import Testing

/// Links between real processes that lose messages or are slow, and the result they lead to.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct BadLinkTests {
  private let cluster: TinyCluster

  init() throws { cluster = try TinyCluster() }

  /// How many messages a node's drills have hit, as its log says.
  private func hits(_ node: String) -> Int {
    cluster.text("run/\(node).log").matches(of: /drill over: it has hit (\d+) message/)
      .compactMap { Int($0.1) }.reduce(0, +)
  }

  /// Has a node fail in its way until that has hit a message.
  ///
  /// - Throws: `TooLate` if the run is over before.
  private func drill(_ words: [String], at server: String, while program: Program) throws {
    let node = words[1]
    while hits(node) == 0, program.isRunning {
      let drill = try Program(["drill"] + words + ["--server", server])
      guard drill.finish() == 0 || program.isRunning else { throw TinyCluster.TooLate() }
      try #require(drill.finish() == 0, "\(drill.output)\(program.output)")
    }
    guard hits(node) > 0 else { throw TinyCluster.TooLate() }
  }

  /// Every step is done by two workers, so that all sums run in one order.
  @Test func `messages lost on the way to and from anybody change no bit of the result`() throws {
    try cluster.inTime {
      let program = try cluster.train(
        TinyCluster.gentle + [
          "--allow-drills", "--min-workers", "2", "--set", "cluster.progressTimeoutSeconds=2",
        ])
      let server = try cluster.address()
      _ = try cluster.reach(step: 1, at: server, while: program)
      for node in ["worker-0", "fc-1", "server"] {
        try drill(["drop", node, "--rate", "5", "--seconds", "1"], at: server, while: program)
      }
      #expect(program.finish() == 0, "\(program.output)")
    }
    try cluster.expectUndisturbed(within: 0)
  }

  @Test func `a slow link is named, and nobody is put out for it`() throws {
    try cluster.inTime { try expectSlowLinkNamed() }
    try cluster.expectUndisturbed(within: 0)
  }

  private func expectSlowLinkNamed() throws {
    let program = try cluster.train(TinyCluster.gentle + ["--allow-drills"])
    let server = try cluster.address()
    let before = try cluster.reach(step: 1, at: server, while: program)
    var seen: [String] = []
    var isNamed = false
    while !isNamed, program.isRunning {
      let drill = try Program([
        "drill", "delay", "worker-1", "--latency", "200", "--seconds", "8", "--server", server,
      ])
      while !isNamed, drill.isRunning {
        let (code, text) = try Program.run("status", "--server", server, "--json")
        guard code == 0, let record = try? StatusRecord.decode(Array(text.utf8)) else { continue }
        let report = WhyReport(record)
        seen = report.lines
        // A healthy worker is waited for too, but a hundredth of that.
        let isLong = record.serverWaits.contains {
          $0.owner.contains("worker 1") && $0.milliseconds >= 100
        }
        isNamed = isLong && report.rootCauses.first?.contains("worker 1") == true
      }
      guard drill.finish() == 0 || program.isRunning else { throw TinyCluster.TooLate() }
      #expect(drill.finish() == 0, "\(drill.output)")
    }
    #expect(isNamed, "\(seen)")
    #expect(program.finish() == 0, "\(program.output)")
    #expect(hits("worker-1") > 0, "\(cluster.text("run/worker-1.log"))")
    let after = try StatusRecord.decode(Array(cluster.text("run/summary.json").utf8))
    // The end is a view of its own.
    #expect(after.view == before.view + 1)
    #expect(
      !cluster.text("run/server.log").contains("is gone"), "\(cluster.text("run/server.log"))")
  }
}
