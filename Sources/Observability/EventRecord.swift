/// Something that happened: a node joined, a view began, an evaluation ended.
package struct EventRecord: Codable, Hashable, Sendable {
  /// What an event is about, for those who want some of them.
  package enum Kind: String, Codable, Hashable, Sendable, CaseIterable {
    /// A node joined.
    case join
    /// A node left, died or was put out.
    case gone
    /// The membership changed.
    case view
    /// A turn is run again, or the run goes back to a checkpoint.
    case recovery
    /// The test set was run.
    case evaluation
    case checkpoint
    /// Nothing moves.
    case stall
    /// The run ends.
    case end
    case note

    /// What a line of the server's log is about, by its words.
    package init(note text: String) {
      let rules: [(Kind, [String])] = [
        (.end, ["ending:", "the end does not come", "no goodbye"]),
        (.stall, ["no progress", "paused"]),
        (.view, ["view "]),
        (.recovery, ["running turn", "resum", "recover", "not applied"]),
        (.checkpoint, ["checkpoint"]),
        (.join, [" joined"]),
        (.gone, [" is gone", " leaves", " refused", " put out"]),
      ]
      // A node's own words ("fc 0 is gone: view 3 ...") stand behind a colon: the first match of
      // what the server says itself counts.
      let head = text.split(separator: ":", maxSplits: 1).first.map { $0 + ":" } ?? ""
      self = rules.first { $0.1.contains { head.contains($0) } }?.0 ?? .note
    }
  }

  package var secondsSinceStart: Double
  package var text: String
  /// Left out by servers of older versions.
  package var kind: Kind?
  /// Whether something failed that does not stop the run, and that a person can do something about.
  package var isTrouble: Bool { text.contains("training goes on") }

  package init(secondsSinceStart: Double, text: String, kind: Kind? = nil) {
    self.secondsSinceStart = secondsSinceStart
    self.text = text
    self.kind = kind
  }

  /// The events of an `events.jsonl`. Lines that are none are left out, and a last line without its
  /// end: somebody is writing it.
  package static func all(in text: String) -> [EventRecord] {
    text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().compactMap {
      try? JSON.decode(EventRecord.self, from: Array($0.utf8), what: "an event")
    }
  }
}
