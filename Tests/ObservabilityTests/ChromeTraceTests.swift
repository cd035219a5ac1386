import Foundation
import Testing

@testable import Observability

@Suite struct ChromeTraceTests {
  private func events(_ trace: ChromeTrace) throws -> [[String: Any]] {
    let file = try JSONSerialization.jsonObject(with: Data(trace.json())) as? [String: Any]
    return try #require(file?["traceEvents"] as? [[String: Any]])
  }

  private func message(_ name: String, at start: UInt64, isArrival: Bool) -> TraceSpan {
    TraceSpan(
      track: .network, name: name, start: start,
      link: TraceSpan.Link(name: name, isArrival: isArrival), bytes: 12)
  }

  @Test func `times are the server's and begin at 0`() throws {
    let trace = ChromeTrace([
      ChromeTrace.Part(
        node: "worker 0", clockOffset: -5000,
        spans: [TraceSpan(track: .compute, name: "conv1 forward", start: 1000, duration: 40)]),
      ChromeTrace.Part(
        node: "server", clockOffset: 0,
        spans: [TraceSpan(track: .compute, name: "commit", start: 6100, duration: 5)]),
    ])
    let slices = try events(trace).filter { $0["ph"] as? String == "X" }
    #expect(slices.map { $0["name"] as? String } == ["conv1 forward", "commit"])
    #expect(slices.map { $0["ts"] as? Int } == [0, 100])
    #expect(slices.map { $0["dur"] as? Int } == [40, 5])
    #expect(slices.map { $0["pid"] as? Int } == [1, 2])
  }

  @Test func `every node and thread has its name`() throws {
    let trace = ChromeTrace([ChromeTrace.Part(node: "fc 3", clockOffset: 0, spans: [])])
    let names = try events(trace).compactMap {
      ($0["args"] as? [String: Any])?["name"] as? String
    }
    #expect(names == ["fc 3", "compute", "network"])
  }

  @Test func `a message whose two ends are known is an arrow, another one is not`() throws {
    let trace = ChromeTrace([
      ChromeTrace.Part(
        node: "worker 0", clockOffset: 0,
        spans: [
          message("push", at: 10, isArrival: false), message("lost", at: 11, isArrival: false),
        ]),
      ChromeTrace.Part(
        node: "server", clockOffset: 0, spans: [message("push", at: 30, isArrival: true)]),
    ])
    let events = try events(trace)
    let start = try #require(events.filter { $0["ph"] as? String == "s" }.first)
    let end = try #require(events.filter { $0["ph"] as? String == "f" }.first)
    #expect(events.filter { $0["cat"] as? String == "message" }.count == 2)
    #expect(start["id"] as? Int == end["id"] as? Int)
    #expect(start["ts"] as? Int == 0 && end["ts"] as? Int == 20)
  }

  @Test func `a node's spans survive the way to the server`() throws {
    let spans = [message("push", at: 10, isArrival: false)]
    #expect(try TraceSpan.decode(TraceSpan.encode(spans)) == spans)
  }

  @Test(arguments: [
    ("{", "not JSON"), ("[{\"name\": 1}]", "a node's trace"),
    (
      #"[{"track":"compute","name":"a","start":18446744073709551615,"duration":0}]"#,
      "a time that cannot be"
    ), (#"[{"track":"disk","name":"a","start":1,"duration":0}]"#, "unknown value"),
  ])
  func `what is no trace is refused`(text: String, reason: String) {
    let error = #expect(throws: ObservabilityError.self) {
      try TraceSpan.decode(Array(text.utf8))
    }
    #expect("\(error.map { "\($0)" } ?? "")".contains(reason))
  }
}
