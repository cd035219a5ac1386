import Glibc
import Synchronization

/// `metrics.jsonl`: the run's measures, a line of JSON for each logging interval and evaluation.
///
/// Every line is written at once, so a killed run loses none. What the disk does not take waits in
/// memory, within bounds, and never disturbs training. Thread-safe.
package final class MetricsLog: Sendable {
  /// Measures of the training steps of one interval.
  package struct Training: Codable, Hashable, Sendable {
    package var kind = "training"
    package var step: UInt64
    package var epoch: Double
    /// Mean over the interval.
    package var loss: Double
    /// Fraction, 0...1, over the interval.
    package var accuracy: Double
    package var learningRate: Double
    package var imagesPerSecond: Double?
    package var secondsSinceStart: Double
    /// "synthetic" where the examples are made up.
    package var data: String?

    package init(
      step: UInt64, epoch: Double, loss: Double, accuracy: Double, learningRate: Double,
      imagesPerSecond: Double?, secondsSinceStart: Double, data: String? = nil
    ) {
      self.step = step
      self.epoch = epoch
      self.loss = loss
      self.accuracy = accuracy
      self.learningRate = learningRate
      self.imagesPerSecond = imagesPerSecond
      self.secondsSinceStart = secondsSinceStart
      self.data = data
    }
  }

  /// Measures of one evaluation on the test set.
  package struct Evaluation: Codable, Hashable, Sendable {
    package var kind = "evaluation"
    /// Steps done before it.
    package var step: UInt64
    package var epoch: Double
    package var loss: Double
    /// Fractions, 0...1.
    package var accuracy: Double
    package var top5: Double?
    package var secondsSinceStart: Double
    /// "synthetic" where the examples are made up.
    package var data: String?

    package init(
      step: UInt64, epoch: Double, loss: Double, accuracy: Double, top5: Double?,
      secondsSinceStart: Double, data: String? = nil
    ) {
      self.step = step
      self.epoch = epoch
      self.loss = loss
      self.accuracy = accuracy
      self.top5 = top5
      self.secondsSinceStart = secondsSinceStart
      self.data = data
    }
  }

  /// How much a file may hold in memory while the disk takes nothing.
  package enum Patience: Sendable {
    /// Measures and events: 1 MiB of lines, some thousands.
    case ordinary
    /// The ledger, of which no line is to be lost: 64 MiB, half a million steps; and what is not yet
    /// known to be on the disk, up to 4 MiB.
    case ledger

    var bounds: JournalFile.Bounds {
      switch self {
      case .ordinary: JournalFile.Bounds(waiting: 1 << 20)
      case .ledger: JournalFile.Bounds(waiting: 64 << 20, unsynced: 4 << 20)
      }
    }
  }

  private let path: String
  private let bounds: JournalFile.Bounds
  private let system: JournalFile.System
  private let file: Mutex<JournalFile>
  private let report: @Sendable (Logger.Level, String) -> Void

  /// Opens the file for appending; a last line without its end is cut off.
  ///
  /// - Parameter report: told in one line when lines begin to wait, to be lost, and when all are
  ///   written again; for the log.
  /// - Throws: `ObservabilityError` if the file cannot be opened.
  package convenience init(
    path: String, patience: Patience = .ordinary,
    report: @escaping @Sendable (Logger.Level, String) -> Void
  ) throws(ObservabilityError) {
    try self.init(path: path, bounds: patience.bounds, system: .init(), report: report)
  }

  init(
    path: String, bounds: JournalFile.Bounds, system: JournalFile.System,
    report: @escaping @Sendable (Logger.Level, String) -> Void
  ) throws(ObservabilityError) {
    self.path = path
    self.bounds = bounds
    self.system = system
    self.report = report
    file = Mutex(try JournalFile(path: path, bounds: bounds, system: system))
    retry()
  }

  /// Appends a line.
  package func append(_ record: Training) { append(JSON.encode(record)) }

  /// Appends a line.
  package func append(_ record: Evaluation) { append(JSON.encode(record)) }

  /// Appends a line: `events.jsonl` is written in the same way.
  package func append(_ record: EventRecord) { append(JSON.encode(record)) }

  /// Appends a line: `ledger.jsonl` too.
  package func append(_ record: LedgerLine) { append(JSON.encode(record)) }

  /// Writes what waits, if there is room now; to be called now and then.
  package func retry() { use { $0.flush() } }

  /// The last try: what still cannot be written is lost, which is said.
  package func finish() { use { $0.finish() } }

  /// Waits until the disk has what was appended; not for a thread that must not wait.
  ///
  /// - Returns: `nil`, or why the disk does not have it.
  package func sync() -> String? {
    let (begun, descriptor) = use { file in (file.beginSync(), file.descriptor) }
    switch begun {
    case .waits(let reason): return "cannot be written: \(reason)"
    case .upTo(let goal):
      // Without the lock: whoever appends must not wait for the disk.
      let problem = system.sync(descriptor) == 0 ? nil : String(cString: strerror(errno))
      use { $0.endSync(of: goal, problem: problem) }
      return problem.map { "cannot be synced to the disk: \($0)" }
    }
  }

  private func append(_ line: [UInt8]) { use { $0.append(line) } }

  private func use<Value: Sendable>(_ body: (inout JournalFile) -> Value) -> Value {
    let (value, news) = file.withLock { file in (body(&file), file.takeNews()) }
    for item in news { tell(item) }
    return value
  }

  private func tell(_ news: JournalFile.News) {
    func lines(_ count: Int) -> String { "\(count) line\(count == 1 ? "" : "s")" }
    switch news {
    case .cutOff(let bytes):
      report(.warning, "\(path): its last line was cut short; \(bytes) bytes of it are taken out")
    case .failing(let reason):
      report(
        .error,
        "\(path): cannot be written: \(reason); its lines wait in memory while training goes on")
    case .losing:
      report(
        .error,
        "\(path): more than \(bounds.waiting >> 10) KiB wait in memory: the oldest lines are lost")
    case .recovered(let count, let lost):
      let rest = lost == 0 ? "" : ", \(lines(lost)) before them are lost"
      report(.warning, "\(path): is written again, with \(lines(count)) that had to wait\(rest)")
    case .abandoned(let count):
      report(.error, "\(path): \(lines(count)) could not be written")
    }
  }
}
