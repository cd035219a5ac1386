import Foundation
import Messages
import Observability
import Tensors
import Testing
import Transport

@testable import Nodes

@Suite struct TraceCollectionTests {
  private let workers = [
    Member(node: NodeID(1), incarnation: 1, name: NodeName(.worker, 0), endpoint: ""),
    Member(node: NodeID(2), incarnation: 2, name: NodeName(.fc, 0), endpoint: "tcp://[::1]:1"),
  ]

  private func frames(_ name: String, at start: UInt64) -> [Frame] {
    Frame.cut(TraceSpan.encode([TraceSpan(track: .compute, name: name, start: start)]))
  }

  private func spans(_ json: [UInt8]) throws -> [String: Int] {
    let file = try JSONSerialization.jsonObject(with: Data(json)) as? [String: Any]
    let events = file?["traceEvents"] as? [[String: Any]] ?? []
    return Dictionary(
      uniqueKeysWithValues: events.compactMap { event -> (String, Int)? in
        guard event["ph"] as? String == "X", let name = event["name"] as? String,
          let time = event["ts"] as? Int
        else { return nil }
        return (name, time)
      })
  }

  @Test func `clocks that differ are reckoned from the two ways of the messages`() throws {
    var trace = TraceCollection(turns: 2, for: .dialed(1), of: workers, now: 1_000_000)
    #expect(trace.request == TraceRequest(turns: 2, sentAt: 1_000_000))
    // Its clock is 7 s ahead; each way takes 10 ms.
    trace.take(
      TraceReport(requestedAt: 8_010_000, sentAt: 9_010_000), frames("forward", at: 8_500_000),
      from: NodeID(1), sharesClock: false, now: 2_020_000)
    #expect(!trace.isComplete(now: 2_020_000))
    trace.take(
      TraceReport(requestedAt: 1_010_000, sentAt: 2_010_000), frames("segment", at: 1_400_000),
      from: NodeID(2), sharesClock: true, now: 2_020_000)
    #expect(trace.isComplete(now: 2_020_000))
    let (text, json) = trace.finish(server: [])
    #expect(text == "2 turns of 2 nodes and the server, 2 spans")
    #expect(try spans(json) == ["segment": 0, "forward": 100_000])
  }

  @Test func `who has gone is not waited for, and is named`() throws {
    var trace = TraceCollection(turns: 1, for: .dialed(1), of: workers, now: 0)
    trace.forget { $0 != NodeID(2) }
    trace.take(
      TraceReport(requestedAt: 1, sentAt: 2), [Frame(copying: Array("nonsense".utf8))],
      from: NodeID(1), sharesClock: true, now: 3)
    #expect(trace.isComplete(now: 3))
    let text = trace.finish(server: []).text
    #expect(text.contains("fc 0 has gone") && text.contains("worker 0: a node's trace"), "\(text)")
  }

  @Test func `who does not answer is waited for within a bound`() {
    let trace = TraceCollection(turns: 1, for: .dialed(1), of: workers, now: 5)
    #expect(!trace.isComplete(now: 5 + TraceCollection.patience - 1))
    #expect(trace.isComplete(now: 5 + TraceCollection.patience))
    #expect(trace.finish(server: []).text.contains("fc 0 is silent, worker 0 is silent"))
  }

  @Test func `nothing is noted while nobody wants to see it`() {
    let recorder = SpanRecorder()
    #expect(recorder.measure("a") { 1 } == 1)
    recorder.begin()
    #expect(recorder.measure("b") { 2 } == 2)
    #expect(recorder.end().map(\.name) == ["b"])
    #expect(recorder.measure("c") { 3 } == 3)
    #expect(recorder.end().isEmpty)
  }
}
