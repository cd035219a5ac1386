import Coordination
import Messages
import Observability
import Synchronization
import Tensors

/// Notes what a node's threads do while somebody wants to see it. Thread-safe; when nobody does, it
/// costs its callers a look at a flag.
final class SpanRecorder: Sendable {
  private let recording = Atomic<Bool>(false)
  private let spans = Mutex<[TraceSpan]>([])

  var isRecording: Bool { recording.load(ordering: .relaxed) }

  /// Starts anew.
  func begin() {
    spans.withLock { $0 = [] }
    recording.store(true, ordering: .relaxed)
  }

  /// Ends; what has been noted, oldest first by its end.
  func end() -> [TraceSpan] {
    recording.store(false, ordering: .relaxed)
    return spans.withLock { spans in
      defer { spans = [] }
      return spans
    }
  }

  /// Runs `body` and notes how long it took.
  func measure<Result>(_ name: @autoclosure () -> String, _ body: () -> Result) -> Result {
    guard isRecording else { return body() }
    let start = MonotonicClock.now()
    let result = body()
    note(
      TraceSpan(
        track: .compute, name: name(), start: start, duration: MonotonicClock.now() - start))
    return result
  }

  /// Notes a message of a turn that leaves `from` for `to`; others are left out.
  ///
  /// - Parameter isArrival: whether this node is the one it came to.
  func note(
    _ message: Message, from sender: NodeID, to receiver: NodeID, isArrival: Bool, _ plan: RunPlan
  ) {
    guard isRecording, let label = message.body.traceLabel(plan) else { return }
    note(
      TraceSpan(
        track: .network, name: label, start: MonotonicClock.now(),
        link: TraceSpan.Link(
          name: "\(label) \(sender.value)-\(receiver.value)", isArrival: isArrival),
        bytes: message.frameBytes))
  }

  private func note(_ span: TraceSpan) {
    // One who is asked for too much gives its beginning.
    spans.withLock { if $0.count < TraceSpan.mostSpans { $0.append(span) } }
  }
}
