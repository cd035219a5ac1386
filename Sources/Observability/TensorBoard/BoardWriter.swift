import Glibc
import Synchronization

/// Writes a run's measures as a TensorBoard event file: `tensorboard --logdir runs`.
///
/// Thread-safe. Like `metrics.jsonl`, a write that fails is reported once and disturbs nobody.
package final class BoardWriter: Sendable {
  private struct State: ~Copyable {
    var file: LineFile
    var hasFailed = false
    var lastParameters = 0.0
  }

  private let path: String
  private let state: Mutex<State>
  private let clock: @Sendable () -> Double
  private let onFailure: @Sendable (String) -> Void

  /// Between two histograms of the parameters, seconds: they cost the compute thread some
  /// milliseconds.
  private static let parameterInterval = 30.0

  /// Opens a file of its own in `folder`, named as TensorBoard expects it.
  ///
  /// - Parameter onFailure: told of the first write that fails, in one line.
  /// - Throws: `ObservabilityError` if the file cannot be made.
  package convenience init(
    folder: String, onFailure: @escaping @Sendable (String) -> Void
  ) throws(ObservabilityError) {
    let seconds = Int(Self.now())
    try self.init(
      path: "\(folder)/events.out.tfevents.\(seconds).crosscut.\(getpid())", clock: Self.now,
      onFailure: onFailure)
  }

  init(
    path: String, clock: @escaping @Sendable () -> Double,
    onFailure: @escaping @Sendable (String) -> Void
  ) throws(ObservabilityError) {
    self.path = path
    self.clock = clock
    self.onFailure = onFailure
    state = Mutex(State(file: try LineFile(path: path)))
    write(0, [])
  }

  /// Notes measures of training.
  package func append(_ record: MetricsLog.Training) {
    var values: [(String, BoardEvent.Content)] = [
      ("loss/training", .scalar(record.loss)), ("accuracy/training", .scalar(record.accuracy)),
      ("learning rate", .scalar(record.learningRate)), ("epoch", .scalar(record.epoch)),
    ]
    if let rate = record.imagesPerSecond { values.append(("images per second", .scalar(rate))) }
    write(record.step, values)
  }

  /// Notes an evaluation.
  package func append(_ record: MetricsLog.Evaluation) {
    var values: [(String, BoardEvent.Content)] = [
      ("loss/test", .scalar(record.loss)), ("accuracy/test", .scalar(record.accuracy)),
    ]
    if let top5 = record.top5 { values.append(("accuracy/test, first five", .scalar(top5))) }
    write(record.step, values)
  }

  /// Notes the configuration, as text.
  package func append(configuration text: String) {
    let indented = text.split(separator: "\n", omittingEmptySubsequences: false)
      .map { "    \($0)" }.joined(separator: "\n")
    write(0, [("configuration", .text(indented))])
  }

  /// Whether it is time for `append(filters:histograms:)`; asked at each commit.
  package var wantsParameters: Bool {
    let now = clock()
    return state.withLock { now - $0.lastParameters >= Self.parameterInterval }
  }

  /// Notes the first layer's filters as an image, and how the parameters are spread.
  package func append(
    filters: FilterSnapshot?, histograms: [(name: String, values: ValueHistogram)], step: UInt64
  ) {
    let now = clock()
    state.withLock { $0.lastParameters = now }
    write(
      step,
      (filters.map { [("filters/\($0.layer)", .image(PixelImage($0)))] } ?? [])
        + histograms.map { ($0.name, .histogram($0.values)) })
  }

  private func write(_ step: UInt64, _ values: [(String, BoardEvent.Content)]) {
    let event = BoardEvent(
      wallTime: clock(), step: Int64(clamping: step),
      values: values.map { (tag: $0.0, content: $0.1) })
    let record = Checksum.record(event.encoded())
    let news: String? = state.withLock { state in
      // What follows half a record cannot be read.
      guard !state.hasFailed, let failure = state.file.append(record, lineFeed: false) else {
        return nil
      }
      state.hasFailed = true
      return failure
    }
    if let news {
      onFailure("\(path): cannot be written: \(news); it ends there while training goes on")
    }
  }

  private static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
