import FoundationEssentials

/// What several nodes did, on one time line: the JSON that Perfetto and chrome://tracing open
/// ("Trace Event Format": complete events, flow events, metadata; times in microseconds).
package struct ChromeTrace: Sendable {
  /// A node's part of it.
  package struct Part: Sendable {
    package var node: String
    /// The node's clock less the server's, microseconds.
    package var clockOffset: Int64
    package var spans: [TraceSpan]

    package init(node: String, clockOffset: Int64, spans: [TraceSpan]) {
      self.node = node
      self.clockOffset = clockOffset
      self.spans = spans
    }
  }

  package let parts: [Part]

  /// - Parameter parts: in the order in which they are to be shown.
  package init(_ parts: [Part]) { self.parts = parts }

  private struct Event: Encodable {
    struct Arguments: Encodable {
      var name: String?
      var sortIndex: Int?
      var bytes: Int?

      enum CodingKeys: String, CodingKey {
        case name, bytes
        case sortIndex = "sort_index"
      }
    }

    var name: String
    var phase: String
    var process: Int
    var thread: Int
    var time: UInt64?
    var duration: UInt64?
    var category: String?
    var id: Int?
    /// Of a flow's end: bound to the slice around it, not to the next one.
    var binding: String?
    var arguments: Arguments?

    enum CodingKeys: String, CodingKey {
      case name, id
      case phase = "ph"
      case process = "pid"
      case thread = "tid"
      case time = "ts"
      case duration = "dur"
      case category = "cat"
      case binding = "bp"
      case arguments = "args"
    }
  }

  private struct File: Encodable {
    var displayTimeUnit = "ms"
    var traceEvents: [Event]
  }

  /// The file. Its times begin at 0 with the first span. O(spans log spans).
  package func json() -> [UInt8] {
    let placed = parts.map { part in
      part.spans.map { span in
        (span, Int64(span.start) - part.clockOffset)
      }.sorted { $0.1 < $1.1 }
    }
    let origin = placed.compactMap { $0.first?.1 }.min() ?? 0
    var events: [Event] = []
    // Only arrows with both ends are drawn: Perfetto warns of others.
    var ends: [String: (starts: Int, arrivals: Int)] = [:]
    for link in parts.flatMap(\.spans).compactMap(\.link) {
      if link.isArrival {
        ends[link.name, default: (0, 0)].arrivals += 1
      } else {
        ends[link.name, default: (0, 0)].starts += 1
      }
    }
    let drawn = ends.filter { $0.value == (1, 1) }.keys.sorted()
    let ids = Dictionary(uniqueKeysWithValues: drawn.enumerated().map { ($1, $0 + 1) })
    for (process, (part, spans)) in zip(parts, placed).enumerated() {
      events += metadata(part, process)
      for (span, start) in spans {
        let time = UInt64(max(0, start - origin))
        let thread = (TraceSpan.Track.allCases.firstIndex(of: span.track) ?? 0) + 1
        events.append(
          Event(
            name: span.name, phase: "X", process: process + 1, thread: thread, time: time,
            // What has no length would not be seen, nor could an arrow be bound to it.
            duration: max(span.duration, 1), category: span.track.rawValue,
            arguments: span.bytes.map { Event.Arguments(bytes: $0) }))
        guard let link = span.link, let id = ids[link.name] else { continue }
        events.append(
          Event(
            name: "message", phase: link.isArrival ? "f" : "s", process: process + 1,
            thread: thread, time: time, category: "message", id: id,
            binding: link.isArrival ? "e" : nil))
      }
    }
    return JSON.encode(File(traceEvents: events))
  }

  private func metadata(_ part: Part, _ process: Int) -> [Event] {
    var events = [
      Event(
        name: "process_name", phase: "M", process: process + 1, thread: 0,
        arguments: Event.Arguments(name: part.node)),
      Event(
        name: "process_sort_index", phase: "M", process: process + 1, thread: 0,
        arguments: Event.Arguments(sortIndex: process)),
    ]
    for (index, track) in TraceSpan.Track.allCases.enumerated() {
      events.append(
        Event(
          name: "thread_name", phase: "M", process: process + 1, thread: index + 1,
          arguments: Event.Arguments(name: track.rawValue)))
    }
    return events
  }
}
