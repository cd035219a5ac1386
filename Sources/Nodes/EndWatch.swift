import Coordination
import Glibc
import Observability
import Transport

/// Keeps a process within its operator's reach while its threads come to an end: they may be at a
/// disk that does not answer, and their owner, who waits for them, looks at no signals meanwhile.
enum EndWatch {
  /// Runs a body that waits for threads. A second signal ends the process at once, as elsewhere.
  ///
  /// - Parameters:
  ///   - signals: the process's; `nil` for a node that is a thread of another's process.
  ///   - soFar: the signals that it has had.
  ///   - patience: microseconds after which the process is ended at once; `nil` for no such time.
  /// - Returns: the first signal of all, if it came meanwhile: the caller's to obey, should the process
  ///   go on.
  static func run(
    _ signals: Signals?, after soFar: EndSignals, patience: Microseconds? = nil, _ log: Logger,
    _ body: () -> Void
  ) -> Int32? {
    guard let signals else {
      body()
      return nil
    }
    let isOver = SharedNumber()
    let first = SharedNumber()
    // Without a thread it goes without.
    let watch = try? watch(signals, after: soFar, until: isOver, first, patience, log)
    body()
    isOver.value = 1
    watch?.join()
    return first.value > 0 ? Int32(first.value) : nil
  }

  private static func watch(
    _ signals: Signals, after soFar: EndSignals, until isOver: SharedNumber,
    _ first: SharedNumber, _ patience: Microseconds?, _ log: Logger
  ) throws(TransportError) -> OwnedThread {
    try OwnedThread(name: "ending") {
      let start = MonotonicClock.now()
      var endSignals = soFar
      while isOver.value == 0 {
        let now = MonotonicClock.now()
        if let number = signals.next() {
          switch endSignals.take(number, now: now) {
          case .inOrder: first.value = UInt64(number)
          case .nothing, .again: break
          case .atOnce: endAtOnce("told again to end: ended at once", log)
          }
        }
        if let patience, now > start + patience {
          endAtOnce("what it computes or reads does not end: ended at once", log)
        }
        poll(nil, 0, 5)
      }
    }
  }

  private static func endAtOnce(_ why: String, _ log: Logger) -> Never {
    log.error(why)
    _exit(1)
  }
}
