import Observability

/// What the earlier lives of a run have left in its directory: measures and events, up to the
/// checkpoint that it goes on from.
struct RunHistory {
  /// Measures of the steps that count; those behind the checkpoint are done again.
  let metrics: MetricsFile
  let events: [EventRecord]
  /// How long the earlier lives took: the latest time that was written down.
  let seconds: Double

  /// Reads what is there; what cannot be read is left out, it is only shown.
  init(_ directory: RunDirectory, upTo steps: UInt64) {
    let text = RunDirectory.text(of: directory.metrics) ?? ""
    let all = (try? MetricsFile(text, name: directory.metrics)) ?? MetricsFile()
    events = EventRecord.all(in: RunDirectory.text(of: directory.events) ?? "")
    metrics = all.upTo(step: steps)
    let times =
      [all.training.last?.secondsSinceStart, all.evaluations.last?.secondsSinceStart]
      + [events.last?.secondsSinceStart]
    seconds = times.compactMap { $0 }.filter(\.isFinite).max() ?? 0
  }
}
