import Glibc
import Synchronization
import Testing

@testable import Observability

/// A disk that takes as much as a test lets it, and whose calls fail when told to.
private final class PlayedDisk: Sendable {
  private struct State {
    var room = Int.max
    var syncFails: CInt?
    var cutFails: CInt?
  }
  private let state = Mutex(State())

  var room: Int {
    get { state.withLock { $0.room } }
    set { state.withLock { $0.room = newValue } }
  }
  var syncFails: CInt? {
    get { state.withLock { $0.syncFails } }
    set { state.withLock { $0.syncFails = newValue } }
  }
  var cutFails: CInt? {
    get { state.withLock { $0.cutFails } }
    set { state.withLock { $0.cutFails = newValue } }
  }

  var system: JournalFile.System {
    @Sendable func fail(_ code: CInt) -> CInt {
      errno = code
      return -1
    }
    return JournalFile.System(
      write: { descriptor, bytes, count in
        let some = min(count, self.room)
        guard some > 0 else { return Int(fail(ENOSPC)) }
        self.room -= some
        return Glibc.write(descriptor, bytes, some)
      },
      sync: { self.syncFails.map(fail) ?? fsync($0) },
      cut: { self.cutFails.map(fail) ?? ftruncate($0, off_t($1)) })
  }
}

/// What becomes of lines that the disk does not take.
@Suite struct JournalFileTests {
  private let file = TemporaryFile()
  private let disk = PlayedDisk()
  private let reports = Reports()

  private final class Reports: Sendable {
    let lines = Mutex<[String]>([])
    func add(_ level: Logger.Level, _ text: String) {
      lines.withLock { $0.append("\(level.rawValue): \(text)") }
    }
    var all: [String] { lines.withLock { $0 } }
  }

  private func log(waiting: Int = 1 << 20, unsynced: Int = 0) throws -> MetricsLog {
    try MetricsLog(
      path: file.path, bounds: .init(waiting: waiting, unsynced: unsynced), system: disk.system
    ) { [reports] level, text in reports.add(level, text) }
  }

  private func line(_ step: Int) -> LedgerLine { LedgerLine(.step, step: UInt64(step), time: 1) }

  /// The steps that are in the file; fails for anything that is no whole line.
  private func steps(_ location: SourceLocation = #_sourceLocation) -> [UInt64] {
    let text = file.text
    #expect(text.isEmpty || text.hasSuffix("\n"), sourceLocation: location)
    return LedgerLine.read(text, name: "ledger").compactMap { entry in
      guard case .success(let line) = entry.line else {
        Issue.record("\(entry)", sourceLocation: location)
        return nil
      }
      return line.step
    }
  }

  @Test func `a disk that is full at any byte costs no line, and tears none`() throws {
    let length = JSON.encode(line(0)).count + 1
    for room in 0...2 * length {
      truncate(file.path, 0)
      let log = try log()
      disk.room = room
      for step in 0..<4 { log.append(line(step)) }
      disk.room = .max
      log.append(line(4))
      #expect(steps() == [0, 1, 2, 3, 4], "\(room)")
    }
    #expect(reports.all.count == 2 * (2 * length + 1))
    #expect(
      reports.all.prefix(2) == [
        "error: \(file.path): cannot be written: No space left on device; its lines wait in memory"
          + " while training goes on",
        "warning: \(file.path): is written again, with 5 lines that had to wait",
      ])
  }

  @Test func `what waits is written without another line too, and at the end`() throws {
    let log = try log()
    disk.room = 20
    log.append(line(0))
    disk.room = .max
    log.retry()
    #expect(steps() == [0])
    disk.room = 0
    for step in 1...2 { log.append(line(step)) }
    disk.room = .max
    log.finish()
    #expect(steps() == [0, 1, 2])
    disk.room = 0
    log.append(line(3))
    log.finish()
    #expect(reports.all.last == "error: \(file.path): 1 line could not be written")
  }

  @Test func `more than may wait costs the oldest lines, which is said`() throws {
    let log = try log(waiting: 1024)
    let begun = 30
    disk.room = begun
    for step in 0..<100 { log.append(line(step)) }
    disk.room = .max
    log.retry()
    let kept = steps()
    // The line that had begun is ended.
    #expect(kept.first == 0)
    #expect(Array(kept.dropFirst()) == Array(UInt64(100 - kept.count + 1)..<100))
    let bytes = file.text.utf8.count - begun
    #expect(bytes <= 1024 && bytes > 512)
    #expect(
      reports.all.dropFirst() == [
        "error: \(file.path): more than 1 KiB wait in memory: the oldest lines are lost",
        "warning: \(file.path): is written again, with \(kept.count) lines that had to wait, "
          + "\(100 - kept.count) lines before them are lost",
      ])
  }

  @Test func `a line that was cut when its writer died is taken out before the next`() throws {
    let whole = String(decoding: JSON.encode(line(0)), as: UTF8.self) + "\n"
    for (text, kept) in [
      (whole + "{\"kind\":\"st", [UInt64(0)]), ("{\"ki", []), (whole, [0]),
      (whole + String(repeating: "x", count: 10_000), [0]),
      (String(repeating: whole, count: 300) + "{", Array(repeating: 0, count: 300)),
    ] {
      let descriptor = open(file.path, O_WRONLY | O_TRUNC)
      #expect(write(descriptor, text, text.utf8.count) == text.utf8.count)
      close(descriptor)
      try log().append(line(7))
      #expect(steps() == kept + [7])
    }
    #expect(reports.all.count == 4)
    #expect(
      reports.all[1]
        == "warning: \(file.path): its last line was cut short; 4 bytes of it are taken out")
  }

  @Test(arguments: [EIO, ENOSPC, EROFS])
  func `after a sync that fails all since the last good one is written again`(
    code: CInt
  ) throws {
    let log = try log(unsynced: 1 << 20)
    log.append(line(0))
    #expect(log.sync() == nil)
    log.append(line(1))
    disk.syncFails = code
    let reason = String(cString: strerror(code))
    #expect(log.sync() == "cannot be synced to the disk: \(reason)")
    disk.syncFails = nil
    // What the kernel called written is gone; only what was synced before is sure.
    let synced = JSON.encode(line(0)).count + 1
    let descriptor = open(file.path, O_WRONLY)
    let zeros = [UInt8](repeating: 0, count: file.text.utf8.count - synced)
    #expect(pwrite(descriptor, zeros, zeros.count, off_t(synced)) == zeros.count)
    close(descriptor)
    log.append(line(2))
    #expect(log.sync() == nil)
    #expect(steps() == [0, 1, 2])
    #expect(reports.all.count == 2)
  }

  @Test func `while lines wait a sync fails, and also while the file cannot be cut`() throws {
    let log = try log(unsynced: 1 << 20)
    disk.room = 10
    log.append(line(0))
    #expect(log.sync() == "cannot be written: No space left on device")
    disk.room = .max
    #expect(log.sync() == nil)
    log.append(line(1))
    disk.syncFails = EIO
    disk.cutFails = EROFS
    #expect(log.sync() != nil)
    disk.syncFails = nil
    log.append(line(2))
    #expect(log.sync()?.hasPrefix("cannot be written: ") == true)
    disk.cutFails = nil
    #expect(log.sync() == nil)
    #expect(steps() == [0, 1, 2])
  }

  @Test func `what is written and not synced is held up to a bound`() throws {
    let log = try log(unsynced: 1024)
    for step in 0..<100 { log.append(line(step)) }
    disk.syncFails = EIO
    #expect(log.sync() != nil)
    disk.syncFails = nil
    #expect(log.sync() == nil)
    #expect(steps() == Array(0..<100))
  }
}
