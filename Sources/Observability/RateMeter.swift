/// Examples a second over a sliding window. Time enters as an argument.
package struct RateMeter: Sendable {
  private struct Sample {
    var seconds: Double
    let total: UInt64
  }

  private let windowSeconds: Double
  private var samples: [Sample] = []
  private var latest: Sample?

  /// More samples cost memory, fewer make the window's edge coarse.
  private static let samplesInWindow = 64.0

  /// - Parameter windowSeconds: over how long the rate is taken. Longer is calmer, shorter shows a
  ///   change sooner.
  package init(windowSeconds: Double = 10) {
    precondition(windowSeconds > 0, "a window of \(windowSeconds) s")
    self.windowSeconds = windowSeconds
  }

  /// Notes that `total` examples have been done at time `seconds`.
  ///
  /// - Parameters:
  ///   - total: since the run began. A smaller one than before (the run went back to a
  ///     checkpoint) starts over.
  ///   - seconds: monotonic; an earlier one than before is ignored.
  package mutating func record(total: UInt64, at seconds: Double) {
    if let latest {
      if seconds < latest.seconds { return }
      if total < latest.total { samples.removeAll(keepingCapacity: true) }
    }
    let sample = Sample(seconds: seconds, total: total)
    latest = sample
    if let last = samples.last, seconds - last.seconds < windowSeconds / Self.samplesInWindow {
      return
    }
    samples.append(sample)
    // One sample older than the window is kept: the window begins between it and the next.
    while samples.count > 1, samples[1].seconds <= seconds - windowSeconds {
      samples.removeFirst()
    }
  }

  /// Nobody did anything for so long, up to now: that time does not count.
  package mutating func slept(_ gap: Double) {
    for index in samples.indices { samples[index].seconds += gap }
    latest?.seconds += gap
  }

  /// Examples a second: what was done since the window's first sample over the time since then.
  ///
  /// Falls while nothing is done. `nil` before two moments are known.
  package func rate(at seconds: Double) -> Double? {
    guard let latest,
      let first = samples.last(where: { $0.seconds <= seconds - windowSeconds })
        ?? samples.first
    else { return nil }
    let elapsed = max(seconds, latest.seconds) - first.seconds
    guard elapsed > 0 else { return nil }
    return Double(latest.total - first.total) / elapsed
  }

  /// Seconds until `remaining` more examples are done at the present rate; `nil` if that is never.
  package func secondsLeft(remaining: UInt64, at seconds: Double) -> Double? {
    guard remaining > 0 else { return 0 }
    guard let rate = rate(at: seconds), rate > 0 else { return nil }
    return Double(remaining) / rate
  }
}
