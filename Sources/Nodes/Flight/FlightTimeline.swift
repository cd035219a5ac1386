import Glibc
import Messages

/// What the flight recorders of a run's processes have kept, on one time line.
package struct FlightTimeline {
  /// A line of it.
  package struct Entry: Hashable, Sendable {
    /// Microseconds since 1970, by the clock of the node's machine.
    package let time: UInt64
    package let node: String
    package let text: String
  }

  /// Turns that were committed without an event between them are told in one line; a pause between
  /// two of them that is longer than this, microseconds, has a line.
  private static let longPause: UInt64 = 250_000

  /// Oldest first.
  package let entries: [Entry]

  /// - Parameter withMessages: every message, not only what was said for people.
  package init(_ rings: [FlightRing], withMessages: Bool) {
    var entries: [Entry] = []
    for ring in rings {
      for record in ring.records {
        guard let text = Self.text(record, withMessages) else { continue }
        entries.append(
          Entry(time: record.time &+ ring.clockOffset, node: ring.name, text: text))
      }
      if ring.name == Role.server.rawValue { entries += Self.turns(ring) }
    }
    self.entries = entries.enumerated().sorted {
      ($0.element.time, $0.offset) < ($1.element.time, $1.offset)
    }.map(\.element)
  }

  private static func text(_ record: FlightRecord, _ withMessages: Bool) -> String? {
    switch record.kind {
    case .note: return record.text
    case .failed, .hopeless: return "a computation failed: \(record.text)"
    case .misbehaved: return "refused a message: \(record.text)"
    case .leave: return "asked to end: \(record.text)"
    case .checkpointed, .checkpointNow, .lost, .begun, .asked, .computed, .foundBest,
      .drained, .vouched, .slept, .dismissed, .notFinite, .wentFurtherBack:
      return nil
    case .received, .sent:
      guard withMessages else { return nil }
      let arrow = record.kind == .sent ? "->" : "<-"
      let bytes = record.frames.reduce(record.bytes.count) { $0 + Int($1) }
      guard let message = FlightMessage.decode(record) else { return "\(arrow) \(bytes) bytes" }
      let from = record.kind == .sent ? "" : " from \(message.header.sender)"
      let what = FlightMessage.decision(message) ?? kind(message.body)
      return "\(arrow) \(what)\(from), view \(message.header.view), \(bytes) bytes"
    }
  }

  private static func kind(_ body: Body) -> String {
    let text = "\(body)"
    return String(text.prefix { $0 != "(" })
  }

  /// How turns went, as the server's permissions to go on tell it: runs of them, and pauses.
  private static func turns(_ ring: FlightRing) -> [Entry] {
    var entries: [Entry] = []
    var first: (turn: UInt64, time: UInt64)?
    var last: (turn: UInt64, time: UInt64)?
    func close() {
      guard let begun = first, let ended = last, ended.turn > begun.turn else { return }
      let seconds = Double(ended.time - begun.time) / 1_000_000
      entries.append(
        Entry(
          time: begun.time &+ ring.clockOffset, node: ring.name,
          text: "turns \(begun.turn) to \(ended.turn - 1), for \((seconds * 100).rounded() / 100) s"
        ))
    }
    for record in ring.records {
      if record.kind == .note {
        close()
        first = nil
        last = nil
      }
      guard record.kind == .sent, let message = FlightMessage.decode(record),
        case .advance(let advance) = message.body
      else { continue }
      if let before = last, advance.turn > before.turn, record.time > before.time + longPause {
        close()
        let seconds = Double(record.time - before.time) / 1_000_000
        entries.append(
          Entry(
            time: before.time &+ ring.clockOffset, node: ring.name,
            text: "no turn was committed for \((seconds * 100).rounded() / 100) s"))
        first = nil
      }
      if first == nil { first = (advance.turn, record.time) }
      last = (advance.turn, record.time)
    }
    close()
    return entries
  }

  /// "12:03:04.123456", of the day, in UTC.
  package static func clock(_ time: UInt64) -> String {
    func digits(_ value: UInt64, _ count: Int) -> String {
      let text = "\(value)"
      return String(repeating: "0", count: max(0, count - text.count)) + text
    }
    let seconds = time / 1_000_000 % 86_400
    return
      "\(digits(seconds / 3600, 2)):\(digits(seconds / 60 % 60, 2)):\(digits(seconds % 60, 2))."
      + digits(time % 1_000_000, 6)
  }
}
