/// Something that a thread of a node did: a computation, or a message that came or went.
package struct TraceSpan: Codable, Hashable, Sendable {
  /// Which thread.
  package enum Track: String, Codable, Hashable, Sendable, CaseIterable {
    case compute
    case network
  }

  /// A message's two ends have the same name in both nodes' spans, so that they can be joined.
  package struct Link: Codable, Hashable, Sendable {
    package var name: String
    package var isArrival: Bool

    package init(name: String, isArrival: Bool) {
      self.name = name
      self.isArrival = isArrival
    }
  }

  package var track: Track
  /// "conv4 backward", "features of turn 7".
  package var name: String
  /// The node's own clock, microseconds.
  package var start: UInt64
  /// Microseconds; 0 for a message.
  package var duration: UInt64
  package var link: Link?
  /// Of a message.
  package var bytes: Int?

  package init(
    track: Track, name: String, start: UInt64, duration: UInt64 = 0, link: Link? = nil,
    bytes: Int? = nil
  ) {
    self.track = track
    self.name = name
    self.start = start
    self.duration = duration
    self.link = link
    self.bytes = bytes
  }

  /// Most spans that a node's part of a trace holds.
  package static let mostSpans = 50_000

  /// Spans as a node sends them.
  package static func encode(_ spans: [TraceSpan]) -> [UInt8] {
    JSON.encode(Array(spans.prefix(mostSpans)))
  }

  /// Spans as they have come from a node: checked, for they may hold anything.
  ///
  /// - Throws: `ObservabilityError` that says what is wrong with them.
  package static func decode(_ bytes: [UInt8]) throws(ObservabilityError) -> [TraceSpan] {
    let spans = try JSON.decode([TraceSpan].self, from: bytes, what: "a node's trace")
    guard spans.count <= mostSpans else {
      throw ObservabilityError("a node's trace of \(spans.count) spans, above \(mostSpans)")
    }
    // Sums of two times must not overflow, and JSON must hold them.
    guard spans.allSatisfy({ $0.start <= 1 << 53 && $0.duration <= 1 << 53 }) else {
      throw ObservabilityError("a node's trace with a time that cannot be")
    }
    return spans
  }
}
