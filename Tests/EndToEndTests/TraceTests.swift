import Foundation
import Testing

/// The timeline of a running cluster, with real processes.
@Suite(.timeLimit(.minutes(30)))
struct TraceTests {
  @Test func `a trace shows every node's work and the messages between them`() throws {
    let scratch = try Scratch()
    let train = try Program([
      "train", "lenet5", "--run-dir", scratch.path, "--listen", "tcp://127.0.0.1:0", "--workers",
      "2", "--fc-nodes", "2", "--set", "dataset={ kind: \"synthetic\", examples: 512 }", "--set",
      "steps=1000000", "--set", "evaluation.everySteps=1000000", "--set", "logging.everySteps=2",
      "--set", "cluster.memberTimeoutMilliseconds=60000",
    ])
    #expect(
      eventually { scratch.text("metrics.jsonl").contains("\n") }, "\(train.output)")
    let path = "\(scratch.path)/trace.json"
    let unwritable = try Program.run(
      "trace", "--server", scratch.address, "--steps", "1", "--out", "/nowhere/trace.json")
    #expect(unwritable.code == 1 && unwritable.output.contains("cannot write /nowhere/trace.json"))
    let trace = try Program.run(
      "trace", "--server", scratch.address, "--steps", "2", "--out", path)
    #expect(trace.code == 0, "\(trace.output)")
    #expect(trace.output.contains("2 turns of 4 nodes and the server"), "\(trace.output)")

    let file = try JSONSerialization.jsonObject(with: Data(scratch.text("trace.json").utf8))
    let events = try #require((file as? [String: Any])?["traceEvents"] as? [[String: Any]])
    func names(of node: String) -> Set<String> {
      let process =
        events.first {
          $0["name"] as? String == "process_name"
            && ($0["args"] as? [String: Any])?["name"] as? String == node
        }?["pid"] as? Int
      return Set(
        events.filter { $0["pid"] as? Int == process && $0["ph"] as? String == "X" }.compactMap {
          $0["name"] as? String
        })
    }
    for worker in ["worker 0", "worker 1"] {
      #expect(names(of: worker).isSuperset(of: ["C1 forward", "C1 backward", "load"]))
    }
    for node in ["fc 0", "fc 1"] {
      #expect(names(of: node).isSuperset(of: ["segment 0", "weight gradients", "update"]))
    }
    #expect(names(of: "server").isSuperset(of: ["update C1 chunk 0", "commit"]))
    #expect(events.contains { $0["ph"] as? String == "s" })

    let stop = try Program.run("stop", scratch.path)
    #expect(stop.code == 0, "\(stop.output)")
    #expect(train.finish() == 0, "\(train.output)")
  }
}
