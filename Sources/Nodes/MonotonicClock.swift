package import Coordination
import Glibc

/// Time that only goes forward, whatever is done to the wall clock.
package enum MonotonicClock {
  /// Microseconds since the machine started.
  package static func now() -> Microseconds {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1000
  }

  /// The clock that people set, seconds since 1970: for what is shown, never for a deadline.
  static func wall() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
