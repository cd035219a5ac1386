import Glibc
import Synchronization

/// What a server shows of its run: written by the run's threads, read by everybody else's.
///
/// The socket thread puts a snapshot up a few times a second; readers take the last one. Nobody
/// holds the lock for longer than it takes to copy a few references. Thread-safe.
package final class StatusBoard: Sendable {
  private struct State {
    var snapshot: Snapshot
    var history = MetricsHistory()
    var events: [EventRecord] = []
    var filters: FilterSnapshot?
    var samples: SampleSnapshot?
    var filtersWantedSince: UInt64?
  }

  /// The status as of one moment.
  struct Snapshot: Sendable {
    let record: StatusRecord
    /// Counts the snapshots from 1.
    let version: UInt64
    /// When it was made, milliseconds of the monotonic clock.
    let madeAt: UInt64
  }

  /// Events that are kept.
  package static let eventsKept = 500
  /// Between two snapshots of the first layer's filters, milliseconds.
  static let filterInterval: UInt64 = 2000

  private let state: Mutex<State>
  private let clock: @Sendable () -> UInt64
  /// The resolved configuration, the layers and the cut, as JSON.
  let plan: [UInt8]
  /// The program's version.
  let version: String
  private let filtersAreDue = Atomic(false)

  /// - Parameters:
  ///   - record: what is known at the start.
  ///   - plan: what `/api/v1/plan` shows, a JSON object.
  ///   - version: the program's version.
  package convenience init(_ record: StatusRecord, plan: [UInt8], version: String) {
    self.init(record, plan: plan, version: version, clock: Self.now)
  }

  init(
    _ record: StatusRecord, plan: [UInt8], version: String, clock: @escaping @Sendable () -> UInt64
  ) {
    self.plan = plan
    self.version = version
    self.clock = clock
    state = Mutex(State(snapshot: Snapshot(record: record, version: 1, madeAt: clock())))
  }

  // MARK: Written by the run

  /// Puts up a snapshot.
  package func publish(_ record: StatusRecord) {
    let now = clock()
    // What the lock replaces is let go outside of it: that may take longer than putting it there.
    let old = state.withLock { state in
      let old = state.snapshot
      state.snapshot = Snapshot(record: record, version: old.version + 1, madeAt: now)
      return old
    }
    _ = consume old
  }

  /// Notes one training step.
  package func append(_ step: MetricsHistory.Point) { state.withLock { $0.history.append(step) } }

  /// Notes one evaluation.
  package func append(_ evaluation: MetricsLog.Evaluation) {
    state.withLock { $0.history.append(evaluation) }
  }

  /// Takes in what an earlier part of the run has written down.
  package func append(_ past: MetricsFile) {
    state.withLock { state in
      for line in past.training {
        state.history.append(
          MetricsHistory.Point(
            step: line.step, secondsSinceStart: line.secondsSinceStart, loss: line.loss,
            accuracy: line.accuracy, learningRate: line.learningRate,
            imagesPerSecond: line.imagesPerSecond))
      }
      for evaluation in past.evaluations { state.history.append(evaluation) }
    }
  }

  /// Notes an event; the oldest go when there are more than `eventsKept`.
  package func append(_ event: EventRecord) {
    state.withLock { state in
      state.events.append(event)
      let surplus = state.events.count - Self.eventsKept
      if surplus > 0 { state.events.removeFirst(surplus) }
    }
  }

  /// Whether somebody waits for the filters: asked at each commit, so it costs one load.
  package var wantsFilters: Bool { filtersAreDue.load(ordering: .relaxed) }

  /// Puts up the first layer's filters.
  package func publish(_ filters: FilterSnapshot) {
    filtersAreDue.store(false, ordering: .relaxed)
    let now = clock()
    state.withLock { state in
      state.filters = filters
      state.filtersWantedSince = now
    }
  }

  /// Puts up pictures and guesses of the last evaluation.
  package func publish(_ samples: SampleSnapshot) { state.withLock { $0.samples = samples } }

  // MARK: Read by everybody

  var snapshot: Snapshot { state.withLock { $0.snapshot } }
  var history: MetricsHistory { state.withLock { $0.history } }

  /// Of the last evaluation, if there has been one.
  var samples: SampleSnapshot? { state.withLock { $0.samples } }

  /// The events after the first `count` of the run.
  var events: [EventRecord] { state.withLock { $0.events } }

  /// Milliseconds since the last snapshot: the socket thread's pulse.
  func age(of snapshot: Snapshot) -> UInt64 {
    let now = clock()
    return now - min(now, snapshot.madeAt)
  }

  /// The last snapshot of the filters; asks for a newer one if it is old.
  func filters() -> FilterSnapshot? {
    let now = clock()
    let (filters, since) = state.withLock { ($0.filters, $0.filtersWantedSince) }
    if since.map({ now - min(now, $0) >= Self.filterInterval }) ?? true {
      filtersAreDue.store(true, ordering: .relaxed)
    }
    return filters
  }

  /// Milliseconds of the monotonic clock.
  static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1000 + UInt64(time.tv_nsec) / 1_000_000
  }
}

/// The weights of the first convolutional layer at one step.
package struct FilterSnapshot: Hashable, Sendable {
  /// "conv1".
  package var layer: String
  /// Steps done.
  package var step: UInt64
  /// `[filters, channels of a group, height, width]`.
  package var shape: [Int]
  /// Groups of the layer: the towers of the 2012 paper.
  package var groups: Int
  /// Row-major.
  package var values: [Float]

  package init(layer: String, step: UInt64, shape: [Int], groups: Int, values: [Float]) {
    precondition(shape.reduce(1, *) == values.count, "\(values.count) values for \(shape)")
    self.layer = layer
    self.step = step
    self.shape = shape
    self.groups = groups
    self.values = values
  }
}
