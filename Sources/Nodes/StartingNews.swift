import Coordination
import Observability
import Tensors

/// What a node that is ready hears of a run that has not begun: it asks for the status now and then
/// and says what is new in it, so that its own log tells why nothing happens.
struct StartingNews {
  /// Between two questions, microseconds: often enough to be news, seldom enough to cost nothing.
  static let interval: Microseconds = 2_000_000

  private var askedAt: Microseconds?
  private var lastLine = ""

  /// Whether to ask now; at the first time half a second is left to those who come together.
  mutating func isDue(_ now: Microseconds) -> Bool {
    guard let askedAt else {
      askedAt = now - min(now, Self.interval - Self.interval / 4)
      return false
    }
    guard now - min(now, askedAt) >= Self.interval else { return false }
    self.askedAt = now
    return true
  }

  /// What a status says that has not been said yet: "waiting for 1 more fc node".
  mutating func line(of frames: [Frame]) -> String? {
    guard let record = try? StatusRecord.decode(frames.flatMap { Array($0.bytes) }),
      !record.message.isEmpty, record.message != lastLine
    else { return nil }
    lastLine = record.message
    return "the run has not begun: \(record.message)"
  }
}
