/// What a `BatchLoader` and its threads share: requests on their way from asked to taken.
///
/// `@unchecked Sendable`: every stored variable is read and written under `condition`'s lock.
final class LoaderState: @unchecked Sendable {
  /// Names one load, so that what was cancelled while it was loading is recognised.
  typealias Ticket = UInt64

  private struct Loading {
    let request: BatchRequest
    let ticket: Ticket
  }

  private enum Outcome {
    case batch(Batch)
    case failure(BatchRequest, DatasetError)

    var request: BatchRequest {
      switch self {
      case .batch(let batch): batch.request
      case .failure(let request, _): request
      }
    }
  }

  private let condition = Condition()
  private let depth: Int
  private let exampleCount: Int
  private var pending: [BatchRequest] = []
  private var loading: [Loading] = []
  private var ready: [Outcome] = []
  private var free: [Batch] = []
  /// Requests somebody waits for in `take`: loaded first, whatever the depth.
  private var urgent: [BatchRequest] = []
  private var nextTicket: Ticket = 0
  private var allocated = 0
  private var stopping = false
  private var stopped = false
  private var done = LoaderWork()

  /// More requests than this are nothing that is needed soon: what is not loaded ahead is loaded when it
  /// is taken.
  private static let mostPending = 4096

  init(depth: Int, exampleCount: Int) {
    self.depth = depth
    self.exampleCount = exampleCount
  }

  var allocatedBytes: Int { condition.locked { allocated } }

  var isStopped: Bool { condition.locked { stopped } }

  var work: LoaderWork { condition.locked { done } }

  func request(_ request: BatchRequest) {
    condition.locked {
      guard !stopping, !isKnown(request), pending.count < Self.mostPending else { return }
      pending.append(request)
      condition.wakeAll()
    }
  }

  func take(_ request: BatchRequest) throws(DatasetError) -> Batch {
    try condition.locked { () throws(DatasetError) in
      var isUrgent = false
      defer { if isUrgent { urgent.removeAll { $0 == request } } }
      while true {
        if let index = ready.firstIndex(where: { $0.request == request }) {
          let outcome = ready.remove(at: index)
          condition.wakeAll()
          switch outcome {
          case .batch(let batch):
            done.taken += UInt64(request.rows)
            return batch
          case .failure(_, let error): throw error
          }
        }
        guard !stopping else { throw DatasetError("loader", "stopped before \(request)") }
        if !isUrgent {
          isUrgent = true
          urgent.append(request)
          condition.wakeAll()
        }
        // Also after `cancelAll` has forgotten it.
        if !isKnown(request) {
          pending.insert(request, at: 0)
          condition.wakeAll()
        }
        condition.wait()
      }
    }
  }

  func cancelAll() {
    condition.locked {
      pending.removeAll(keepingCapacity: true)
      loading.removeAll(keepingCapacity: true)
      for outcome in ready { if case .batch(let batch) = outcome { free.append(batch) } }
      ready.removeAll(keepingCapacity: true)
      condition.wakeAll()
    }
  }

  func recycle(_ batch: Batch) {
    condition.locked { keep(batch) }
  }

  func stop(join: () -> Void) {
    let isFirst = condition.locked {
      let isFirst = !stopping
      stopping = true
      condition.wakeAll()
      return isFirst
    }
    if isFirst {
      join()
      condition.locked {
        stopped = true
        condition.wakeAll()
      }
    } else {
      condition.locked { while !stopped { condition.wait() } }
    }
  }

  /// The next batch to fill, for a loader thread; waits for one. `nil` at the end.
  func next() -> (Batch, Ticket)? {
    condition.locked {
      while true {
        if stopping { return nil }
        if let request = nextRequest() {
          nextTicket += 1
          loading.append(Loading(request: request, ticket: nextTicket))
          return (memory(for: request), nextTicket)
        }
        condition.wait()
      }
    }
  }

  /// Takes a filled batch from a loader thread.
  ///
  /// - Parameter nanoseconds: that filling it took.
  /// - Returns: the request to announce, or `nil` if it was cancelled meanwhile.
  func finish(
    _ batch: Batch, _ ticket: Ticket, _ failure: DatasetError?, nanoseconds: UInt64
  ) -> BatchRequest? {
    condition.locked {
      done.loaded += UInt64(batch.request.rows)
      done.busyNanoseconds += nanoseconds
      guard let index = loading.firstIndex(where: { $0.ticket == ticket }) else {
        keep(batch)
        return nil
      }
      let request = loading.remove(at: index).request
      if let failure {
        ready.append(.failure(request, failure))
        keep(batch)
      } else {
        ready.append(.batch(batch))
      }
      condition.wakeAll()
      return stopping ? nil : request
    }
  }

  private func isKnown(_ request: BatchRequest) -> Bool {
    pending.contains(request) || loading.contains { $0.request == request }
      || ready.contains { $0.request == request }
  }

  private func nextRequest() -> BatchRequest? {
    if let index = pending.firstIndex(where: { urgent.contains($0) }) {
      return pending.remove(at: index)
    }
    guard !pending.isEmpty, loading.count + ready.count < depth else { return nil }
    return pending.removeFirst()
  }

  /// The free batch that fits best: the smallest that is large enough, else the largest.
  private func memory(for request: BatchRequest) -> Batch {
    let best = free.indices.min { left, right in
      fit(free[left], request) < fit(free[right], request)
    }
    guard let best else {
      let batch = Batch(request: request, exampleCount: exampleCount)
      allocated += batch.byteCount
      return batch
    }
    let batch = free.remove(at: best)
    allocated += batch.reuse(for: request)
    return batch
  }

  /// Rows too many, or, worse than any of those, rows too few.
  private func fit(_ batch: Batch, _ request: BatchRequest) -> Int {
    batch.capacity >= request.rows
      ? batch.capacity - request.rows : Int.max / 2 + (request.rows - batch.capacity)
  }

  /// Keeps memory for the next request, but no more of it than can be needed again.
  private func keep(_ batch: Batch) {
    guard free.count < depth + 2 else { return }
    free.append(batch)
  }
}
