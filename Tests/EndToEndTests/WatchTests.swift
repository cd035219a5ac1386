import Foundation
import Testing

/// Commands that look at a run until it ends.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct WatchTests {
  @Test func `who watches a server sees it come back, and how its run ended`() throws {
    let cluster = try TinyCluster()
    let program = try cluster.train([
      "--set", "steps=1000000", "--set", "checkpoint.everySteps=20",
    ])
    let server = try cluster.address()
    _ = try cluster.reach(step: 40, at: server)
    let watch = try Program(["status", cluster.run, "--watch"])
    let logs = try Program(["logs", "server", "--follow", "--server", server])
    #expect(eventually { watch.output.contains("worker") }, "\(watch.output)")
    #expect(eventually { logs.output.contains("listens at") }, "\(logs.output)")
    kill(try #require(cluster.serverProcess()), SIGKILL)
    let isBack = eventually {
      // Of the run's earlier life, in the table's first line.
      logs.output.contains("goes on after") && watch.output.contains(" s  after ")
    }
    #expect(isBack, "\(watch.output)\n\(logs.output)\n\(program.output)")
    #expect(watch.isRunning && logs.isRunning)
    logs.send(SIGINT)
    #expect(logs.finish() == 0, "\(logs.output)")
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    #expect(watch.finish() == 0, "\(watch.output)")
    #expect(watch.output.contains("the run has ended after "), "\(watch.output)")
  }
}
