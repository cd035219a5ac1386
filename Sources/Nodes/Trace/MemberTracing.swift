import Coordination
import Messages
import Observability
import Tensors

/// A member's part in traces: notes when it is told to, and hands in what it has noted.
struct MemberTracing {
  /// What the member's threads note into.
  let recorder = SpanRecorder()
  /// The member's run, once it has joined.
  var plan: RunPlan?
  private var requestedAt: Microseconds = 0
  /// The first turn that is not noted any more, while a trace is under way.
  private var end: UInt64?
  private var deadline: Microseconds = 0

  /// Notes from now on.
  ///
  /// - Parameter turn: the one under way.
  mutating func begin(_ request: TraceRequest, turn: UInt64, now: Microseconds) {
    requestedAt = now
    end = turn + UInt64(request.turns)
    // A little before the server gives up.
    deadline = now + TraceCollection.patience - 10_000_000
    recorder.begin()
  }

  /// What the server is to get, once; `nil` while there is nothing to hand in.
  ///
  /// - Parameter turn: the one under way.
  mutating func finish(turn: UInt64, now: Microseconds) -> (body: Body, frames: [Frame])? {
    guard let end, turn >= end || now >= deadline else { return nil }
    self.end = nil
    return (
      .traceReport(TraceReport(requestedAt: requestedAt, sentAt: now)),
      Frame.cut(TraceSpan.encode(recorder.end()))
    )
  }

  /// Notes a message that goes to `destination`.
  func sends(_ message: Message, to destination: Destination) {
    guard let plan else { return }
    var receiver = NodeID.server
    if case .member(let node) = destination { receiver = node }
    recorder.note(
      message, from: message.header.sender, to: receiver, isArrival: false, plan)
  }

  /// Notes a message that has come to `node`.
  func receives(_ message: Message, by node: NodeID) {
    guard let plan else { return }
    recorder.note(message, from: message.header.sender, to: node, isArrival: true, plan)
  }
}

extension Frame {
  /// Text as frames of the size that may travel.
  static func cut(_ text: [UInt8]) -> [Frame] {
    stride(from: 0, to: text.count, by: Limits.frameBytes).map {
      Frame(copying: Array(text[$0..<min($0 + Limits.frameBytes, text.count)]))
    }
  }
}
