import Glibc
import Synchronization

/// `metrics.jsonl`: the run's measures, a line of JSON for each logging interval and evaluation.
///
/// Every line is written at once and with one write, so a reader sees whole lines and a killed
/// run loses none. A write that fails is reported once and never disturbs training. Thread-safe.
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

  private struct State: ~Copyable {
    var file: LineFile
    var hasFailed = false
  }

  private let path: String
  private let state: Mutex<State>
  private let onFailure: @Sendable (String) -> Void

  /// Opens the file for appending.
  ///
  /// - Parameter onFailure: told of the first write that fails, in one line.
  /// - Throws: `ObservabilityError` if the file cannot be opened.
  package init(
    path: String, onFailure: @escaping @Sendable (String) -> Void
  ) throws(ObservabilityError) {
    self.path = path
    self.onFailure = onFailure
    state = Mutex(State(file: try LineFile(path: path)))
  }

  /// Appends a line.
  package func append(_ record: Training) { append(JSON.encode(record)) }

  /// Appends a line.
  package func append(_ record: Evaluation) { append(JSON.encode(record)) }

  /// Appends a line: `events.jsonl` is written in the same way.
  package func append(_ record: EventRecord) { append(JSON.encode(record)) }

  /// Appends a line: `ledger.jsonl` too.
  package func append(_ record: LedgerLine) { append(JSON.encode(record)) }

  /// Waits until the disk has what was appended; not for a thread that must not wait.
  package func sync() {
    let descriptor = state.withLock { $0.file.descriptor }
    // A failure shows in the write that follows it.
    _ = fsync(descriptor)
  }

  private func append(_ line: [UInt8]) {
    let news: String? = state.withLock { state in
      guard let failure = state.file.append(line), !state.hasFailed else { return nil }
      state.hasFailed = true
      return failure
    }
    if let news {
      onFailure("\(path): cannot be written: \(news); lines are lost while training goes on")
    }
  }
}
