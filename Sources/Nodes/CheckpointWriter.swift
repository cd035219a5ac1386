import Network
import Training
import Transport

/// Puts checkpoints together on the disk on a thread of its own, so that training goes on meanwhile
/// and nobody needs memory for more of them than the disk is behind.
final class CheckpointWriter: Sendable {
  /// What came of a checkpoint.
  struct Report: Sendable {
    let steps: UInt64
    /// The path, or why there is none.
    let result: Result<String, CheckpointError>
  }

  private enum Job: Sendable {
    case begin(steps: UInt64?, answer: Mailbox<CheckpointError?>?)
    case own(OwnPart)
    case piece(ParameterPiece)
    case finish(steps: UInt64, answer: Mailbox<Result<String, CheckpointError>>?)
    case saveModel(path: String, metadata: [String: String], answer: Mailbox<SafeTensorsError?>)
    /// Remove what is too old beside the one that was written there.
    case tidy(path: String)
    /// Only look whether this is the best one.
    case keep(best: UInt64)
  }

  /// `@unchecked Sendable`: handed over; nobody else has it any more.
  private struct OwnPart: @unchecked Sendable {
    let version: ConvolutionalVersion
    let chunks: [Chunk]
  }

  private let jobs: Mailbox<Job>
  /// For the socket thread; its wake-up belongs in that thread's poll.
  let reports: Mailbox<Report>
  private let thread: OwnedThread
  /// Steps of the parameters with the lowest validation error.
  private let best = SharedNumber()
  /// Steps of the checkpoint that the run goes back to if it has to.
  private let needed = SharedNumber()

  /// - Parameters:
  ///   - manifest: makes the description of a checkpoint from its steps.
  ///   - confirm: throws if what has been written is not to count as a checkpoint.
  init(
    _ store: CheckpointStore, _ network: NetworkPlan,
    manifest: @escaping @Sendable (UInt64) -> CheckpointManifest,
    confirm: @escaping @Sendable () throws(CheckpointError) -> Void = {}
  ) throws(TransportError) {
    // A piece is a frame at most: this is more than any network has.
    let jobs = try Mailbox<Job>(capacity: .max)
    let reports = try Mailbox<Report>()
    self.jobs = jobs
    self.reports = reports
    let (best, needed) = (best, needed)
    thread = try OwnedThread(name: "checkpoints") {
      var bench = WriterBench(store, network)
      while let job = jobs.take() {
        switch job {
        case .begin(let steps, let answer):
          bench.begin(steps)
          answer?.post(bench.problem)
        case .own(let part): bench.put(part.chunks, of: part.version)
        case .piece(let piece): bench.put(piece)
        case .finish(let steps, let answer):
          // The run's last one need spare nobody, of any other the run does not know yet.
          let spared = answer == nil ? needed.value : nil
          let result = bench.finish(manifest(steps), best: best.value, sparing: spared, confirm)
          if let answer {
            answer.post(result)
          } else {
            bench.clear()
            reports.post(Report(steps: steps, result: result))
          }
        case .saveModel(let path, let metadata, let answer):
          answer.post(bench.saveModel(to: path, metadata))
        case .tidy(let path): store.removeOld(before: path, sparing: needed.value)
        case .keep(let steps):
          // That it cannot be marked is no news: it may not be written yet.
          try? store.mark(best: steps)
        }
      }
    }
  }

  // MARK: A checkpoint

  /// Begins a checkpoint; one that is not finished is forgotten.
  func begin(steps: UInt64) { jobs.post(.begin(steps: steps, answer: nil)) }

  /// The same once what was to be written before is, of parameters whose step is not known yet.
  ///
  /// - Returns: why it cannot be written; then what is put into it is lost.
  func beginNow() -> CheckpointError? {
    guard let answer = try? Mailbox<CheckpointError?>() else { return Self.noDescriptor }
    jobs.post(.begin(steps: nil, answer: answer))
    return answer.take() ?? nil
  }

  /// Takes over the values and velocities of chunks.
  func put(_ chunks: [Chunk], of version: ConvolutionalVersion) {
    jobs.post(.own(OwnPart(version: version, chunks: chunks)))
  }

  func put(_ piece: ParameterPiece) { jobs.post(.piece(piece)) }

  /// Makes what was put in since `begin` a checkpoint, and reports.
  func finish(steps: UInt64) { jobs.post(.finish(steps: steps, answer: nil)) }

  /// The same, and waits for it.
  ///
  /// - Returns: the path, or why there is none.
  func finishNow(steps: UInt64) -> Result<String, CheckpointError> {
    guard let answer = try? Mailbox<Result<String, CheckpointError>>() else {
      return .failure(Self.noDescriptor)
    }
    jobs.post(.finish(steps: steps, answer: answer))
    return answer.take() ?? .failure(Self.noDescriptor)
  }

  /// Writes the parameters alone, after `finishNow`, whatever came of that.
  ///
  /// - Returns: what went wrong.
  func saveModel(to path: String, metadata: [String: String]) -> SafeTensorsError? {
    guard let answer = try? Mailbox<SafeTensorsError?>() else {
      return SafeTensorsError(path: path, reason: Self.noDescriptor.reason)
    }
    jobs.post(.saveModel(path: path, metadata: metadata, answer: answer))
    return answer.take() ?? nil
  }

  private static let noDescriptor = CheckpointError(
    path: "checkpoint", reason: "no descriptor is left")

  /// Keeps the checkpoint after `steps` steps as the best one, if it is there, or as soon as it is.
  func keep(best steps: UInt64) {
    best.value = steps
    jobs.post(.keep(best: steps))
  }

  /// Keeps the checkpoint after `steps` steps, which the run goes back to if it has to, however few
  /// are to be kept; until it says another.
  ///
  /// - Parameter written: where the one is that has just been written, beside which others may be
  ///   too old now.
  func spare(_ steps: UInt64, since written: String? = nil) {
    needed.value = steps
    if let written { jobs.post(.tidy(path: written)) }
  }

  /// Ends the thread after what it is writing.
  func stop() {
    jobs.close()
    thread.join()
  }
}
