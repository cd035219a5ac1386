import Glibc

/// What a loader has done since it began.
package struct LoaderWork: Hashable, Sendable {
  /// Examples made ready.
  package var loaded: UInt64 = 0
  /// Time that its threads have spent on them, added up: reading, decoding, augmentation.
  package var busyNanoseconds: UInt64 = 0
  /// Examples handed out.
  package var taken: UInt64 = 0

  package init() {}

  /// Nanoseconds since the machine started.
  static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}

/// A loader's own rate beside what is asked of it, over an interval.
package struct LoaderMeter: Sendable {
  /// Examples a second that the loader can make ready while all its threads are at work; as it was
  /// when it last loaded any.
  package private(set) var possible = 0.0
  /// Examples a second that were taken; 0 when none has been for a minute.
  package private(set) var taken = 0.0
  private let threads: Int
  /// An interval has some batches in it, and an end where a step takes long: both microseconds.
  private static let shortest: UInt64 = 2_000_000
  private static let longest: UInt64 = 60_000_000
  private var last = LoaderWork()
  private var lastTime: UInt64

  /// - Parameters:
  ///   - threads: of the loader.
  ///   - now: microseconds of a clock that only goes forward.
  package init(threads: Int, now: UInt64) {
    self.threads = threads
    lastTime = now
  }

  /// Takes what the loader has done by `now`, microseconds, and begins a new interval if this one
  /// has been long enough.
  package mutating func update(_ work: LoaderWork, now: UInt64) {
    guard now >= lastTime + Self.shortest,
      work.taken > last.taken || now >= lastTime + Self.longest
    else { return }
    let busy = Double(work.busyNanoseconds - last.busyNanoseconds) / 1e9
    if work.loaded > last.loaded, busy > 0 {
      possible = Double(work.loaded - last.loaded) / busy * Double(threads)
    }
    taken = Double(work.taken - last.taken) / (Double(now - lastTime) / 1e6)
    last = work
    lastTime = now
  }
}
