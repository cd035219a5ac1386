import COneDNN

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
}
