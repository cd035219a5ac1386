/// The state of a run at one moment: the one record behind the table, the JSON and everything
/// else that shows a run.
///
/// The schema is described field by field in `docs/status.md` and is stable: within one
/// `schemaVersion` fields are only added. A value that is not known yet is left out of the JSON.
/// Fractions (accuracies) run from 0 to 1; units end the names.
package struct StatusRecord: Codable, Hashable, Sendable {
  /// The version this code writes, and the newest it reads.
  package static let currentSchemaVersion = 1

  /// What a run is doing.
  package enum State: String, Codable, Hashable, Sendable, CaseIterable {
    /// Waiting for nodes to join.
    case gathering
    /// Training.
    case running
    /// Measuring on the test set.
    case evaluating
    /// Steps are done; the model is being collected and written.
    case finishing
    /// Done.
    case finished
    /// Ended without reaching its end; `message` says why.
    case failed
  }

  package var schemaVersion = Self.currentSchemaVersion
  /// The run's random number, 16 hexadecimal digits.
  package var run: String
  /// What the user calls the run.
  package var name: String
  package var state = State.gathering
  /// Turns, training steps and evaluations together, that have been committed.
  package var turn: UInt64 = 0
  /// Steps that have been committed.
  package var step: UInt64 = 0
  package var totalSteps: UInt64 = 0
  /// Passes over the training set so far, with fraction.
  package var epoch = 0.0
  /// Passes over the training set at the end of the run.
  package var totalEpochs = 0.0
  /// Mean loss of the recent steps.
  package var loss: Double?
  /// Fraction of the recent steps' examples whose class was found, 0...1.
  package var accuracy: Double?
  /// The step after which the last evaluation ran; the three measures below are its.
  package var testStep: UInt64?
  /// Fraction of the test set whose class was found, 0...1.
  package var testAccuracy: Double?
  /// Fraction of the test set whose class was among the first five, 0...1.
  package var testTop5: Double?
  /// Mean loss over the test set.
  package var testLoss: Double?
  package var learningRate: Double?
  /// "fp32" or "bf16": of the products' operands.
  package var precision: String?
  /// Training examples a second over the last seconds.
  package var imagesPerSecond: Double?
  /// Until the last step, at the present rate.
  package var etaSeconds: Double?
  /// Since the run began (since it was resumed, if it was).
  package var elapsedSeconds = 0.0
  /// What the run's earlier lives took, before it was resumed; left out if there were none.
  package var earlierSeconds: Double?
  /// The server's clock, seconds since 1970.
  package var unixSeconds: Double?
  /// What the workers train on, once the first of them has said it.
  package var dataset: DatasetRecord?
  /// Number of the cluster's view; 0 before the first.
  package var view: UInt32 = 0
  /// Workers the configuration asks for.
  package var workersWanted = 0
  /// FC nodes the configuration asks for.
  package var fcNodesWanted = 0
  /// Server shards the configuration asks for beside the coordinator; not there where it is alone.
  package var serverShardsWanted: Int?
  /// What people should know now: "waiting for 1 more fc node". Empty if nothing.
  package var message = ""
  /// Workers by rank, then FC nodes by rank.
  package var nodes: [NodeRecord] = []
  /// What the server waits for.
  package var serverWaits: [WaitRecord] = []
  /// The last events, oldest first.
  package var events: [EventRecord] = []

  /// A record of a run that has not begun; everything else is set as it becomes known.
  package init(run: UInt64, name: String) {
    let digits = String(run, radix: 16)
    self.run = String(repeating: "0", count: 16 - digits.count) + digits
    self.name = name
  }

  /// The record as JSON on one line, keys in alphabetical order.
  ///
  /// Infinite and undefined numbers are the strings "Infinity", "-Infinity" and "NaN".
  package func json() -> [UInt8] { JSON.encode(self) }

  /// Reads a record.
  ///
  /// - Throws: `ObservabilityError` if it is of a newer schema or not a status record.
  package static func decode(_ bytes: [UInt8]) throws(ObservabilityError) -> StatusRecord {
    let what = "not a status record"
    let version = try JSON.decode(Version.self, from: bytes, what: what).schemaVersion
    guard version <= currentSchemaVersion else {
      throw ObservabilityError(
        "the server writes status schema \(version), this crosscut reads up to "
          + "\(currentSchemaVersion): use the server's version of crosscut")
    }
    return try JSON.decode(StatusRecord.self, from: bytes, what: what)
  }

  private struct Version: Decodable {
    let schemaVersion: Int
  }
}

/// A data set as the status shows it.
package struct DatasetRecord: Codable, Hashable, Sendable {
  /// What the examples of a benchmark are called: made up, so that nothing can be learned from them.
  package static let synthetic = "synthetic"

  /// "idx", "cifar", "folder", "prepared" or "synthetic"; older servers do not say.
  package var kind: String?
  package var trainingExamples: UInt64
  package var evaluationExamples: UInt64
  /// Equal for equal data, 16 hexadecimal digits.
  package var fingerprint: String

  package init(
    kind: String? = nil, trainingExamples: UInt64, evaluationExamples: UInt64, fingerprint: String
  ) {
    self.kind = kind
    self.trainingExamples = trainingExamples
    self.evaluationExamples = evaluationExamples
    self.fingerprint = fingerprint
  }
}
