import Testing
import Training

@testable import Nodes

/// What checkpoints say of the run they are of.
struct RunFactsTests {
  @Test func `each fault counts once, whatever is said of it`() throws {
    let facts = RunFacts(
      try RunContext(TinyRun.configuration(["cluster.serverShards=2"])), number: 7, resumed: nil)
    let lines = [
      "worker 0 joined: vm, process 1", "view 1: worker 0; 1 fc nodes; turn 0",
      "fc 0 is gone: silent for 2812 ms",
      "fc 0's slice of the fc layers is lost with it: back to the checkpoint after 4 steps",
      "step 6 is not applied: the loss of worker 0 is nan", "the run goes on with fewer",
      "worker 0 is gone: its connection closed",
    ]
    for line in lines { facts.remember(line, steps: 5) }
    let manifest = facts.manifest(steps: 8)
    #expect(manifest.faultsSurvived == 3)
    #expect(manifest.history.count == 6)
    #expect(manifest.serverShards == 2)
  }

  @Test func `the death of the server before is one of them`() throws {
    let context = try RunContext(TinyRun.configuration([]))
    let facts = RunFacts(context, number: 7, resumed: nil, followsDeath: true)
    facts.remember("worker 0 is gone: its connection closed", steps: 5)
    let manifest = facts.manifest(steps: 8)
    #expect(manifest.faultsSurvived == 2)
    #expect(manifest.history.first?.hasSuffix("died, and another came") == true)
  }
}
