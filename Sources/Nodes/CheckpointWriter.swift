import Coordination
import Network
import Synchronization
import Tensors
import Training
import Transport

/// Writes checkpoints on a thread of its own, so that training goes on meanwhile.
final class CheckpointWriter: Sendable {
  /// What came of a checkpoint.
  struct Report: Sendable {
    let steps: UInt64
    /// The path, or why there is none.
    let result: Result<String, CheckpointError>
  }

  /// `@unchecked Sendable`: the parameters are handed over; nobody else has them any more.
  private struct Job: @unchecked Sendable {
    let steps: UInt64
    /// `nil`: only look whether this is the best one.
    let parameters: CollectedParameters?
  }

  private let store: CheckpointStore
  private let manifest: @Sendable (UInt64) -> CheckpointManifest
  private let jobs: Mailbox<Job>
  /// For the socket thread; its wake-up belongs in that thread's poll.
  let reports: Mailbox<Report>
  private let thread: OwnedThread
  /// Held while a checkpoint is written: the last one waits for the one before it.
  private let turn: TurnLock
  /// Steps of the parameters with the lowest validation error.
  private let best = SharedNumber()

  /// - Parameter manifest: makes the description of a checkpoint from its steps.
  init(
    _ store: CheckpointStore, manifest: @escaping @Sendable (UInt64) -> CheckpointManifest
  ) throws(TransportError) {
    let jobs = try Mailbox<Job>(capacity: 4)
    let reports = try Mailbox<Report>()
    self.store = store
    self.manifest = manifest
    self.jobs = jobs
    self.reports = reports
    let turn = TurnLock()
    self.turn = turn
    let best = best
    thread = try OwnedThread(name: "checkpoints") {
      while let job = jobs.take() {
        guard let parameters = job.parameters else {
          // That it cannot be marked is no news: it may not be written yet.
          try? turn.hold { () throws(CheckpointError) in try store.mark(best: job.steps) }
          continue
        }
        let result = Result { () throws(CheckpointError) in
          try turn.hold { () throws(CheckpointError) in
            try Self.write(parameters, store, manifest(job.steps), best.value)
          }
        }
        reports.post(Report(steps: job.steps, result: result))
      }
    }
  }

  /// Takes over parameters to be written.
  func write(_ steps: UInt64, _ parameters: CollectedParameters) {
    jobs.post(Job(steps: steps, parameters: parameters))
  }

  /// Keeps the checkpoint after `steps` steps as the best one, if it is there, or as soon as it is.
  func keep(best steps: UInt64) {
    best.value = steps
    jobs.post(Job(steps: steps, parameters: nil))
  }

  /// Writes them on the calling thread.
  ///
  /// - Returns: the path, or why there is none.
  func writeNow(_ steps: UInt64, _ parameters: CollectedParameters) -> Result<
    String, CheckpointError
  > {
    Result { () throws(CheckpointError) in
      try turn.hold { () throws(CheckpointError) in
        try Self.write(parameters, store, manifest(steps), best.value)
      }
    }
  }

  /// Ends the thread after what it is writing.
  func stop() {
    jobs.close()
    thread.join()
  }

  private static func write(
    _ parameters: CollectedParameters, _ store: CheckpointStore, _ manifest: CheckpointManifest,
    _ best: UInt64
  ) throws(CheckpointError) -> String {
    var tensors: [CheckpointTensor] = []
    var incomplete: String?
    let missing = parameters.forEach { entry, value, velocity in
      guard let velocity else { return incomplete = entry.name }
      let count = entry.shape.count
      tensors.append(
        CheckpointTensor(
          name: entry.name, shape: entry.shape.extents,
          value: UnsafeBufferPointer(start: value, count: count),
          velocity: UnsafeBufferPointer(start: velocity, count: count)))
    }
    if let missing = missing ?? incomplete {
      throw CheckpointError(path: "checkpoint", reason: "no slice of \(missing)")
    }
    let path = try store.write(manifest, tensors: tensors)
    if best > 0, best == manifest.steps { try store.mark(best: best) }
    return path
  }
}

/// One writer at a time.
private final class TurnLock: Sendable {
  private let mutex = Mutex(())

  func hold<Value>(
    _ body: () throws(CheckpointError) -> Value
  ) throws(CheckpointError) -> Value {
    let result: Result<Value, CheckpointError> = mutex.withLock { _ in
      nonisolated(unsafe) let body = body  // runs here and now, while the lock is held
      return Result { () throws(CheckpointError) in try body() }
    }
    return try result.get()
  }
}
