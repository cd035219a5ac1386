import Messages

/// How long a run's turns take, to tell one that hangs from one that is slow.
struct TurnPace: Sendable {
  /// So many times the usual turn without any progress is a hang.
  static let factor: Microseconds = 20
  /// What no turn is judged in less than: a disk that spins up, a host that pages.
  static let shortest: Microseconds = 10_000_000
  /// Before so many turns nothing is known; the first ones allocate memory and open files.
  private static let least = 8

  /// The last turns' durations, oldest first.
  private var recent: [Microseconds] = []

  mutating func note(_ duration: Microseconds) {
    if recent.count == 4 * Self.least { recent.removeFirst() }
    recent.append(duration)
  }

  /// How long a turn may go without progress.
  ///
  /// - Parameter limit: the most, and the answer while the pace is not known.
  func patience(atMost limit: Microseconds) -> Microseconds {
    guard recent.count >= Self.least else { return limit }
    let median = recent.sorted()[recent.count / 2]
    return min(limit, max(Self.shortest, Self.factor * median))
  }
}
