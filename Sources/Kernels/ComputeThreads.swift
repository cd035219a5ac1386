import COneDNN
import Synchronization

/// The number of CPU threads that compute kernels use.
package enum ComputeThreads {
  /// Sets how many threads kernels called from *this* thread use.
  ///
  /// libgomp keeps the count, and the team of threads, per calling thread: call it on the thread
  /// that will own the `ConvolutionStack`, before making it, because oneDNN cuts its work for the
  /// count it finds at creation. The same count gives the same bits; another count does not.
  ///
  /// - Parameter count: at least 1.
  package static func use(_ count: Int) {
    precondition(count >= 1, "\(count) compute threads")
    omp_set_num_threads(Int32(clamping: count))
  }

  /// Runs `body` over contiguous parts of `0..<count`, one for each of the calling thread's team:
  /// the threads that oneDNN's primitives use. Returns when all are done.
  ///
  /// - Parameters:
  ///   - grain: elements below which a part is not worth a thread.
  ///   - body: called by several threads at once, for disjoint ranges.
  static func split(_ count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
    let parts = min(Int(omp_get_max_threads()), count / grain)
    guard parts > 1 else { return body(0..<count) }
    withoutActuallyEscaping(body) { body in
      var work = Work(count: count, parts: parts, body: body)
      withUnsafeMutablePointer(to: &work) { work in
        GOMP_parallel(
          { data in
            guard let work = data?.assumingMemoryBound(to: Work.self) else { return }
            let (count, parts) = (work.pointee.count, work.pointee.parts)
            // The team may be smaller than what was asked for.
            let (thread, team) = (Int(omp_get_thread_num()), Int(omp_get_num_threads()))
            for part in stride(from: thread, to: parts, by: team) {
              work.pointee.body(count * part / parts..<count * (part + 1) / parts)
            }
          }, work, UInt32(parts), 0)
      }
    }
  }

  /// Something that one thread of a team or several have found.
  final class Finding: Sendable {
    private let value = Atomic(false)

    var isNoted: Bool { value.load(ordering: .relaxed) }

    func note() { value.store(true, ordering: .relaxed) }
  }

  /// What the threads of a team are told.
  private struct Work {
    let count: Int
    let parts: Int
    let body: (Range<Int>) -> Void
  }
}
