import Foundation
import Observability
import Testing

/// Clusters of real processes with several parameter servers: the same result as with one.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct ShardTests {
  private let cluster: TinyCluster
  private var run: String { cluster.run }

  init() throws { cluster = try TinyCluster() }

  /// Three chunks of the conv parameters, for two servers.
  private static let shards = ["--server-shards", "2", "--set", "cluster.chunkBytes=64"]

  private func log(_ name: String) -> String { cluster.scratch.text("run/\(name).log") }

  @Test func `two parameter servers give the bits of one`() throws {
    let seen = try cluster.strike(at: 20, Self.shards) { running in
      #expect(running.record.serverShardsWanted == 1)
      let shard = try #require(running.record.nodes.first { "\($0.name)" == "shard 1" })
      #expect(shard.state != .joined, "\(shard)")
    }
    let program = seen.program
    #expect(program.finish() == 0, "\(program.output)")
    #expect(log("shard-1").contains("ready: shard 1 of 2"), "\(log("shard-1"))")
    #expect(log("server").contains("2 server shards; turn 0"), "\(log("server"))")
    try cluster.expectUndisturbed(within: 0)
    cluster.expectNoOrphans(seen.server)
  }

  @Test func `server shards and fc nodes beside workers give the same bits`() throws {
    let program = try cluster.train(["--layout", "beside"] + Self.shards + TinyCluster.gentle)
    #expect(program.finish() == 0, "\(program.output)")
    let logs = try FileManager.default.contentsOfDirectory(atPath: run).filter {
      $0.hasSuffix(".log")
    }
    #expect(logs.sorted() == ["server.log", "worker-0.log", "worker-1.log"])
    #expect(log("worker-1").contains("ready: shard 1 of 2"), "\(log("worker-1"))")
    try cluster.expectUndisturbed(within: 0)
  }

  @Test func `a killed server shard is replaced, and the run goes on from the checkpoint`() throws {
    let struck = try cluster.strike(at: 150, Self.shards) {
      kill(try $0.process(of: "shard 1"), SIGKILL)
    }
    let program = struck.program
    #expect(program.finish() == 0, "\(program.output)")
    #expect(program.output.contains("shard-1 started again"), "\(program.output)")
    #expect(
      log("server").contains(
        "shard 1's share of the conv parameters is lost with it: back to the "),
      "\(log("server"))")
    try cluster.expectUndisturbed(within: 0)
    cluster.expectNoOrphans(struck.server)
  }

  @Test func `a killed coordinator comes back, and its shards join it again`() throws {
    let program = try cluster.strike(at: 150, Self.shards) {
      kill($0.serverProcess, SIGKILL)
    }.program
    #expect(program.finish() == 0, "\(program.output)")
    #expect(program.output.contains("server started again"), "\(program.output)")
    #expect(log("shard-1").contains("joining again"), "\(log("shard-1"))")
    try cluster.expectUndisturbed(within: 0)
  }

  @Test func `a run is resumed with another number of parameter servers`() throws {
    let first = try cluster.strike(at: 150, Self.shards) { cluster.interrupt($0) }.program
    #expect(first.finish() == 0, "\(first.output)")
    let second = try Program([
      "train", "--resume", run, "--server-shards", "3", "--listen", "tcp://127.0.0.1:0",
    ])
    #expect(second.finish() == 0, "\(second.output)")
    #expect(log("server").contains("3 server shards; turn"), "\(log("server"))")
    try cluster.expectUndisturbed(within: 0)
  }

  @Test func `a shard started by hand joins, one of another number is told`() throws {
    let server = try Program(
      [
        "server", cluster.configuration, "--workers", "1", "--fc-nodes", "1", "--run-dir", run,
        "--listen", "tcp://127.0.0.1:0", "--set", "steps=100000",
      ] + Self.shards)
    let endpoint = try cluster.address()
    let wrong = try Program(["server", "--shard", "1/3", "--coordinator", endpoint])
    #expect(wrong.finish() == 1, "\(wrong.output)")
    #expect(
      wrong.output.contains("told to be one of 3 server shards, but the run has 2"),
      "\(wrong.output)")
    let others = try [
      Program(["server", "--shard", "1/2", "--coordinator", endpoint]),
      Program(["worker", "--server", endpoint]), Program(["fc", "--server", endpoint]),
    ]
    _ = try cluster.reach(step: 20, at: endpoint)
    let second = try Program(["server", "--shard", "1/2", "--coordinator", endpoint])
    #expect(second.finish() == 1, "\(second.output)")
    #expect(second.output.contains("all 2 server shards are taken"), "\(second.output)")
    server.send(SIGTERM)
    #expect(server.finish() == 0, "\(server.output)")
    for program in others { #expect(program.finish() == 0, "\(program.output)") }
  }
}
