import Foundation
import Testing

/// Nodes that are started by hand, one after the other, as on several machines.
@Suite(.timeLimit(.minutes(10)))
struct NodeByHandTests {
  private let cluster: TinyCluster

  init() throws { cluster = try TinyCluster() }

  @Test func `a node that is started by hand says in a line each what it waits for`() throws {
    let server = try Program([
      "server", cluster.configuration, "--run-dir", cluster.run, "--listen", "tcp://127.0.0.1:0",
      "--workers", "1", "--fc-nodes", "1",
    ])
    let address = try cluster.address()
    let worker = try Program(["worker", "--server", address])
    #expect(
      eventually(seconds: 30) {
        worker.output.contains("the run has not begun: waiting for 1 more fc node")
      }, "\(worker.output)")
    #expect(worker.output.contains("joined run"), "\(worker.output)")
    #expect(worker.output.contains("ready: 400 training and 64 test examples"))
    let fc = try Program(["fc", "--server", address])
    #expect(worker.finish() == 0, "\(worker.output)")
    #expect(fc.finish() == 0, "\(fc.output)")
    #expect(server.finish() == 0, "\(server.output)")
    #expect(
      worker.output.contains("the data set is the cluster's: nothing to download"),
      "\(worker.output)")
    #expect(fc.output.contains("ready: slice 0 of 1"), "\(fc.output)")
    // Each line once.
    let lines = worker.output.split(separator: "\n").map { $0.dropFirst(25) }
    #expect(Set(lines).count == lines.count, "\(worker.output)")
  }
}
