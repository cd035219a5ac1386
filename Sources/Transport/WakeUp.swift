import CLinux
import Glibc

/// A flag that one thread raises and another polls for: an eventfd.
package final class WakeUp: Sendable {
  /// Readable while the flag is up.
  package let descriptor: Int32

  /// - Throws: `TransportError` when there is no descriptor left.
  package init() throws(TransportError) {
    descriptor = crosscut_eventfd()
    guard descriptor >= 0 else { throw .last("eventfd") }
  }

  deinit { Glibc.close(descriptor) }

  /// Raises the flag; from any thread.
  package func signal() {
    var one: UInt64 = 1
    // EAGAIN would mean that 2^64 - 2 signals are pending: the flag is up.
    _ = retryingInterrupts { Int32(write(descriptor, &one, 8)) }
  }

  /// Takes the flag down.
  package func clear() {
    var count: UInt64 = 0
    _ = retryingInterrupts { Int32(read(descriptor, &count, 8)) }
  }

  /// Blocks until the flag is up, at most `milliseconds` (`nil`: for ever).
  ///
  /// - Returns: whether the flag is up.
  package func wait(milliseconds: Int? = nil) -> Bool {
    let deadline = milliseconds.map { MonotonicClock.milliseconds() + max(0, $0) }
    while true {
      let left = deadline.map { max(0, $0 - MonotonicClock.milliseconds()) } ?? -1
      var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let ready = poll(&item, 1, Int32(clamping: left))
      if ready > 0 { return true }
      if ready == 0 { return false }
      guard errno == EINTR else { return false }
    }
  }
}

/// Time since some point in the past, unmoved by changes of the wall clock.
enum MonotonicClock {
  static func milliseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
  }
}
