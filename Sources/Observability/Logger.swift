import Glibc
import Messages
import Synchronization

/// The log of one process: plain lines with a time, who speaks, how grave, and what.
///
/// `2026-11-23T12:00:00.123Z worker 1 info joined as node 4`
///
/// One write for each line, so the lines of several processes in one file do not mix. Thread-safe;
/// a line that cannot be written is dropped, for there is nowhere to say so.
package final class Logger: Sendable {
  /// How grave a line is, the least grave first.
  package enum Level: String, Sendable, CaseIterable, Comparable {
    case debug, info, warning, error

    package static func < (left: Level, right: Level) -> Bool { left.rank < right.rank }

    private var rank: Int {
      switch self {
      case .debug: 0
      case .info: 1
      case .warning: 2
      case .error: 3
      }
    }
  }

  private struct State: ~Copyable {
    var file: LineFile
    var name: String
    var ring = LogRing(capacity: Limits.logBytes)
    /// Lines since the last one that was written: a terminal that was stopped (Ctrl-S), or a pager
    /// that nobody pages, must not stop a node.
    var leftOut = 0
  }

  /// Lines less grave than this are not written.
  package let level: Level
  private let state: Mutex<State>
  private let clock: @Sendable () -> timespec

  /// Writes to an open descriptor, which stays the caller's: 2 for standard error.
  package convenience init(descriptor: Int32, name: String, level: Level = .info) {
    self.init(LineFile(descriptor: descriptor), name: name, level: level, clock: Self.now)
  }

  /// Appends to a file.
  ///
  /// - Throws: `ObservabilityError` if it cannot be opened.
  package convenience init(
    path: String, name: String, level: Level = .info
  ) throws(ObservabilityError) {
    self.init(try LineFile(path: path), name: name, level: level, clock: Self.now)
  }

  init(
    _ file: consuming LineFile, name: String, level: Level,
    clock: @escaping @Sendable () -> timespec
  ) {
    self.level = level
    self.clock = clock
    state = Mutex(State(file: file, name: Format.printable(name)))
  }

  /// Who speaks from now on: a node learns its rank only when it has joined.
  package func rename(_ name: String) {
    state.withLock { $0.name = Format.printable(name) }
  }

  /// Writes a line; control characters in it, line feeds among them, become "?".
  package func log(_ level: Level, _ text: @autoclosure () -> String) {
    guard level >= self.level else { return }
    let text = Format.printable(text())
    state.withLock { state in
      // Inside the lock, so that the times of the file ascend.
      let line = "\(Self.timestamp(clock())) \(state.name) \(level.rawValue) \(text)"
      let bytes = Array(line.utf8)
      state.ring.append(bytes)
      // A slow reader has a moment, once.
      guard state.file.hasRoom(within: state.leftOut == 0 ? 50 : 0) else {
        state.leftOut += 1
        return
      }
      if state.leftOut > 0 {
        let lines = "\(state.leftOut) line\(state.leftOut == 1 ? "" : "s")"
        _ = state.file.append(
          Array("\(state.name): \(lines) left out, nobody was reading".utf8))
        state.leftOut = 0
      }
      _ = state.file.append(bytes)
    }
  }

  /// The newest lines, for those who ask from elsewhere.
  ///
  /// - Parameter number: the lines after this one, counted from 1.
  /// - Returns: the lines with their line feeds, at most `Limits.logBytes`, and the last one's number.
  package func recent(after number: UInt64) -> (text: [UInt8], last: UInt64) {
    state.withLock { ($0.ring.lines(after: number), $0.ring.last) }
  }

  /// Writes a line for those who look for a fault.
  package func debug(_ text: @autoclosure () -> String) { log(.debug, text()) }
  /// Writes a line about what is as it should be.
  package func info(_ text: @autoclosure () -> String) { log(.info, text()) }
  /// Writes a line about what is not as it should be, and was dealt with.
  package func warning(_ text: @autoclosure () -> String) { log(.warning, text()) }
  /// Writes a line about what ends the run or loses work.
  package func error(_ text: @autoclosure () -> String) { log(.error, text()) }

  /// UTC in ISO 8601 with milliseconds.
  static func timestamp(_ time: timespec) -> String {
    var seconds = time.tv_sec
    var parts = tm()
    gmtime_r(&seconds, &parts)
    let date = [parts.tm_mon + 1, parts.tm_mday].map { Format.twoDigits(Int($0)) }
    let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map { Format.twoDigits(Int($0)) }
    let milliseconds = String(1000 + time.tv_nsec / 1_000_000).dropFirst()
    return "\(parts.tm_year + 1900)-\(date.joined(separator: "-"))"
      + "T\(clock.joined(separator: ":")).\(milliseconds)Z"
  }

  private static func now() -> timespec {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return time
  }
}
