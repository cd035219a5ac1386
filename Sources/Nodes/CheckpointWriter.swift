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
    let parameters: CollectedParameters
  }

  private let store: CheckpointStore
  private let manifest: @Sendable (UInt64) -> CheckpointManifest
  private let jobs: Mailbox<Job>
  /// For the socket thread; its wake-up belongs in that thread's poll.
  let reports: Mailbox<Report>
  private let thread: OwnedThread
  /// Held while a checkpoint is written: the last one waits for the one before it.
  private let turn: TurnLock

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
    thread = try OwnedThread(name: "checkpoints") {
      while let job = jobs.take() {
        let result = Result { () throws(CheckpointError) in
          try turn.hold { () throws(CheckpointError) in
            try Self.write(job, store, manifest(job.steps))
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

  /// Writes them on the calling thread.
  ///
  /// - Returns: the path, or why there is none.
  func writeNow(_ steps: UInt64, _ parameters: CollectedParameters) -> Result<
    String, CheckpointError
  > {
    Result { () throws(CheckpointError) in
      try turn.hold { () throws(CheckpointError) in
        try Self.write(Job(steps: steps, parameters: parameters), store, manifest(steps))
      }
    }
  }

  /// Ends the thread after what it is writing.
  func stop() {
    jobs.close()
    thread.join()
  }

  private static func write(
    _ job: Job, _ store: CheckpointStore, _ manifest: CheckpointManifest
  ) throws(CheckpointError) -> String {
    var tensors: [CheckpointTensor] = []
    var incomplete: String?
    let missing = job.parameters.forEach { entry, value, velocity in
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
    return try store.write(manifest, tensors: tensors)
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
