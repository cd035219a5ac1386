/// One line of `ledger.jsonl`, a run's audit trail: what was applied, by whose shares, and when the
/// run went back.
///
/// A server's life begins with `start`. Shares follow from the view: a `step` has them where they
/// differ from those of the step before it, so that a line costs some 60 bytes.
package struct LedgerLine: Codable, Hashable, Sendable {
  /// What the line says.
  package enum Kind: String, Codable, Hashable, Sendable, CaseIterable {
    /// A server begins, after `step` steps.
    case start
    /// Training step `step`, from 0, was applied.
    case step
    /// A batch of an evaluation with the parameters after `step` steps was committed.
    case evaluation
    /// Training step `step` was passed over by everybody.
    case skip
    /// The run went back to the parameters after `step` steps.
    case back
    /// The FC layers are cut anew: another `start` follows.
    case recut
    /// The run ended after `step` steps.
    case end
  }

  /// A worker's rows of the global batch: from the first of each pair up to the second.
  package struct Share: Codable, Hashable, Sendable {
    package var node: UInt32
    /// Its process life, 16 hexadecimal digits.
    package var incarnation: String
    package var rows: [[Int]]

    package init(node: UInt32, incarnation: String, rows: [[Int]]) {
      self.node = node
      self.incarnation = incarnation
      self.rows = rows
    }
  }

  package var kind: Kind
  package var step: UInt64
  /// Seconds since 1970, by the server's clock; for people.
  package var time: Double
  package var turn: UInt64?
  package var view: UInt32?
  package var shares: [Share]?
  /// Of a `start`: the run, 16 hexadecimal digits; its global batch and FC nodes.
  package var run: String?
  /// Of a `start` that goes on from a checkpoint: the run that has written it, perhaps of another
  /// ledger.
  package var from: String?
  package var globalBatch: Int?
  package var fcNodes: Int?
  /// Of the first `step` of a life: what it trains on.
  package var trainingExamples: UInt64?
  package var datasetFingerprint: String?
  /// Of an `end`: why.
  package var text: String?

  package init(_ kind: Kind, step: UInt64, time: Double) {
    self.kind = kind
    self.step = step
    self.time = time
  }

  /// The lines of a ledger, each with its number from 1; those that cannot be read are errors.
  ///
  /// A last line without its end is left out: somebody is writing it, or was killed meanwhile.
  package static func read(
    _ text: String, name: String
  ) -> [(number: Int, line: Result<LedgerLine, ObservabilityError>)] {
    text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().enumerated()
      .filter { !$0.element.isEmpty }
      .map { index, line in
        let what = "\(name): line \(index + 1)"
        return (
          index + 1,
          Result { () throws(ObservabilityError) in
            try JSON.decode(LedgerLine.self, from: Array(line.utf8), what: what)
          }
        )
      }
  }
}
