import Glibc

/// How many descriptors the process may have.
enum DescriptorLimit {
  /// Raises the limit to the highest that is allowed without asking anybody.
  ///
  /// Shells start programs with 1024, for the sake of those that call select(2). Nothing here does,
  /// and a server needs two for each of its nodes.
  static func raise() {
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    var limit = rlimit()
    guard getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
    limit.rlim_cur = limit.rlim_max
    // Where it is not allowed after all, it goes on as it is.
    setrlimit(resource, &limit)
  }
}
