import Coordination
import Glibc
import Kernels
import Transport

/// Something that does a role's computations; confined to the compute thread.
protocol Performer<Operation, Outcome> {
  associatedtype Operation: Sendable
  associatedtype Outcome: Sendable
  func perform(_ operation: Operation) -> Outcome
  /// Gives back what does not go by itself (threads, files).
  func close()
}

/// What the compute thread tells the socket thread.
enum ComputeReport<Preparation: Sendable, Outcome: Sendable>: Sendable {
  /// Memory is planned, data is open.
  case prepared(Preparation)
  case failed(String)
  case finished(OperationID, Outcome)
}

/// The one thread of a process (or of an in-process node) that calls kernels: oneDNN gives every
/// calling thread an OpenMP team of its own, so there must not be two.
final class ComputeThread<Operation: Sendable, Outcome: Sendable, Preparation: Sendable>: Sendable {
  typealias Report = ComputeReport<Preparation, Outcome>

  private enum Task: Sendable {
    case perform(OperationID, Operation)
    /// Do nothing, for a drill.
    case stall(milliseconds: Int)
  }

  private let tasks: Mailbox<Task>
  /// Not zero once the thread is to end: a stall does not outlast that.
  private let stopping: SharedNumber
  /// Reports for the socket thread; its wake-up belongs in that thread's poll.
  let reports: Mailbox<Report>
  private let thread: OwnedThread

  /// Starts the thread.
  ///
  /// - Parameters:
  ///   - threads: OpenMP threads of the kernels; 0 leaves it to the environment.
  ///   - recorder: notes each operation while somebody wants to see it.
  ///   - label: what it calls an operation.
  ///   - need: which of several such operations in a row is wanted first, the lowest; `nil` for one that
  ///     stays where it is.
  ///   - prepare: makes the performer, on the compute thread: opening data and planning memory
  ///     take seconds, and the socket thread must stay responsive.
  init<P: Performer & SendableMetatype>(
    name: String, threads: Int, recorder: SpanRecorder,
    label: @escaping @Sendable (Operation) -> String,
    need: @escaping @Sendable (Operation) -> Int? = { _ in nil },
    prepare: @escaping @Sendable () throws -> (P, Preparation)
  ) throws(TransportError) where P.Operation == Operation, P.Outcome == Outcome {
    let tasks = try Mailbox<Task>()
    let reports = try Mailbox<Report>()
    let stopping = SharedNumber()
    self.stopping = stopping
    self.tasks = tasks
    self.reports = reports
    thread = try OwnedThread(name: name) {
      if threads > 0 { ComputeThreads.use(threads) }
      let performer: P
      do {
        let (made, preparation) = try prepare()
        performer = made
        _ = reports.post(.prepared(preparation))
      } catch {
        _ = reports.post(.failed("\(error)"))
        return
      }
      var waiting: [Task] = []
      while true {
        if waiting.isEmpty, let task = tasks.take() { waiting.append(task) }
        waiting += tasks.drain()
        guard !waiting.isEmpty else { break }
        switch waiting.remove(at: Self.next(of: waiting, need)) {
        case .perform(let id, let operation):
          let outcome = recorder.measure(label(operation)) { performer.perform(operation) }
          _ = reports.post(.finished(id, outcome))
        case .stall(let milliseconds):
          let end = MonotonicClock.now() + UInt64(milliseconds) * 1000
          while stopping.value == 0, MonotonicClock.now() < end { poll(nil, 0, 10) }
        }
      }
      performer.close()
    }
  }

  /// The place of what is done next: of the operations in front that may change places, the one that
  /// is needed first.
  private static func next(of waiting: [Task], _ need: (Operation) -> Int?) -> Int {
    var best: (place: Int, need: Int)?
    for (place, task) in waiting.enumerated() {
      guard case .perform(_, let operation) = task, let need = need(operation) else { break }
      if need < best?.need ?? .max { best = (place, need) }
    }
    return best?.place ?? 0
  }

  /// Hands over an operation; operations are done in the order given, but for those that `need` orders.
  func submit(_ id: OperationID, _ operation: Operation) {
    _ = tasks.post(.perform(id, operation))
  }

  /// Has the thread do nothing for a while, as if a kernel hung.
  func stall(milliseconds: Int) { _ = tasks.post(.stall(milliseconds: milliseconds)) }

  /// Ends the thread after the operation it is at.
  func stop() {
    stopping.value = 1
    tasks.close()
    thread.join()
  }
}
