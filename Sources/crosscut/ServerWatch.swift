import Nodes
import Observability

/// What to make of a server that is watched and does not answer: it may be started again, or its run
/// has ended.
struct ServerWatch {
  enum Verdict: Hashable {
    /// How the run ended.
    case ended(String)
    /// It is looked for anew; the line says so, the first time.
    case wait(String?)
    /// Nobody is to be expected any more, or never was.
    case lost
  }

  /// How long a server is looked for, microseconds: a large checkpoint takes a while to read.
  static let patience: UInt64 = 60_000_000

  private var last: StatusRecord?
  private var silentSince: UInt64?

  /// Takes a status, from which it may be seen how a run ended.
  mutating func heard(_ record: StatusRecord) { last = record }

  /// All that was asked for has come.
  mutating func succeeded() { silentSince = nil }

  /// Takes that something has not come.
  ///
  /// - Parameter summary: the status that the run ended with, where its directory is known.
  mutating func missed(now: UInt64, summary: StatusRecord? = nil) -> Verdict {
    guard let last else { return .lost }
    if let end = Self.end(summary?.run == last.run ? summary : nil) ?? Self.end(last) {
      return .ended(end)
    }
    guard let since = silentSince else {
      silentSince = now
      return .wait("looking for a server there for a minute")
    }
    return now - min(now, since) < Self.patience ? .wait(nil) : .lost
  }

  private static func end(_ record: StatusRecord?) -> String? {
    guard let record, [.finishing, .finished, .failed].contains(record.state) else { return nil }
    let why = record.message.isEmpty ? "" : ": \(record.message)"
    return "the run has ended after \(record.step) of \(record.totalSteps) steps\(why)"
  }
}
