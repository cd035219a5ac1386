import Glibc
import Synchronization
import Testing

@testable import Observability

/// A file that goes when the test is over.
final class TemporaryFile {
  let path: String

  init() {
    var template = Array("/tmp/crosscut-log-XXXXXX".utf8CString)
    path = template.withUnsafeMutableBufferPointer { buffer in
      close(mkstemp(buffer.baseAddress.unsafelyUnwrapped))
      return String(cString: buffer.baseAddress.unsafelyUnwrapped)
    }
  }

  deinit { unlink(path) }

  var text: String {
    let descriptor = open(path, O_RDONLY)
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = read(descriptor, &bytes, bytes.count)
    return String(decoding: bytes[..<max(0, count)], as: UTF8.self)
  }
}

@Suite struct MetricsLogTests {
  private let training = MetricsLog.Training(
    step: 50, epoch: 0.5, loss: 1.25, accuracy: 0.75, learningRate: 0.01, imagesPerSecond: 1500,
    secondsSinceStart: 3.5)
  private let evaluation = MetricsLog.Evaluation(
    step: 50, epoch: 0.5, loss: .nan, accuracy: 0.5, top5: nil, secondsSinceStart: 4)

  @Test func `each record is a line, and a resumed run goes on in the same file`() throws {
    let file = TemporaryFile()
    let first = try MetricsLog(path: file.path) { _, _ in }
    first.append(training)
    let line =
      #"{"accuracy":0.75,"epoch":0.5,"imagesPerSecond":1500,"kind":"training","#
      + #""learningRate":0.01,"loss":1.25,"secondsSinceStart":3.5,"step":50}"# + "\n"
    #expect(file.text == line)
    let second = try MetricsLog(path: file.path) { _, _ in }
    second.append(evaluation)
    #expect(
      file.text == line + #"{"accuracy":0.5,"epoch":0.5,"kind":"evaluation","loss":"NaN","#
        + #""secondsSinceStart":4,"step":50}"# + "\n")
  }

  @Test func `a full disk is reported once and disturbs nobody`() throws {
    let reports = Mutex<[String]>([])
    let log = try MetricsLog(path: "/dev/full") { _, text in
      reports.withLock { $0.append(text) }
    }
    for _ in 0..<3 { log.append(training) }
    #expect(
      reports.withLock { $0 } == [
        "/dev/full: cannot be written: No space left on device; "
          + "its lines wait in memory while training goes on"
      ])
  }

  @Test func `a file that cannot be opened is an error`() {
    #expect(
      throws: ObservabilityError("/nowhere/m: cannot be opened: No such file or directory")
    ) { try MetricsLog(path: "/nowhere/m") { _, _ in } }
  }
}

@Suite struct LoggerTests {
  private func logger(_ path: String, level: Logger.Level) throws -> Logger {
    Logger(try LineFile(path: path), name: "worker", level: level) {
      timespec(tv_sec: 1_795_435_200, tv_nsec: 7_999_999)
    }
  }

  @Test func `a line has a time, a name, a level and a text`() throws {
    let file = TemporaryFile()
    let log = try logger(file.path, level: .info)
    log.info("joined")
    log.rename("worker 1")
    log.warning("late")
    log.error("lost\nroot cause: \u{1B}[2J")
    log.debug("never seen")
    #expect(
      file.text == """
        2026-11-23T12:00:00.007Z worker info joined
        2026-11-23T12:00:00.007Z worker 1 warning late
        2026-11-23T12:00:00.007Z worker 1 error lost?root cause: ?[2J

        """)
  }

  @Test func `text below the level is not even made`() throws {
    let file = TemporaryFile()
    let log = try logger(file.path, level: .error)
    func text() -> String {
      Issue.record("made")
      return ""
    }
    log.warning(text())
    #expect(file.text.isEmpty)
  }

  @Test func `levels are ordered`() {
    #expect(Logger.Level.allCases == Logger.Level.allCases.sorted())
  }

  @Test func `lines of many writers stay whole`() async throws {
    let file = TemporaryFile()
    let logs = [try logger(file.path, level: .info), try logger(file.path, level: .info)]
    await withTaskGroup { group in
      for writer in 0..<8 {
        let log = logs[writer % 2]
        group.addTask { for line in 0..<100 { log.info("\(writer) \(line) end") } }
      }
    }
    let lines = file.text.split(separator: "\n")
    #expect(lines.count == 800)
    #expect(
      lines.allSatisfy {
        $0.hasPrefix("2026-11-23T12:00:00.007Z worker info ") && $0.hasSuffix(" end")
      })
  }

  @Test func `a descriptor stays its owner's`() throws {
    let file = TemporaryFile()
    let descriptor = open(file.path, O_WRONLY)
    defer { close(descriptor) }
    do { Logger(descriptor: descriptor, name: "a").info("one") }
    do { Logger(descriptor: descriptor, name: "b").info("two") }
    #expect(file.text.split(separator: "\n").count == 2)
  }

  @Test(arguments: [
    (0, "1970-01-01T00:00:00.000Z"), (951_782_399, "2000-02-28T23:59:59.000Z"),
    (951_782_400, "2000-02-29T00:00:00.000Z"),
  ])
  func `times are UTC`(seconds: Int, text: String) {
    #expect(Logger.timestamp(timespec(tv_sec: seconds, tv_nsec: 0)) == text)
  }
}

@Suite struct BlockedLogTests {
  @Test func `a log that nobody reads stops nobody, and says what it left out`() throws {
    var ends: [CInt] = [0, 0]
    try #require(pipe(&ends) == 0)
    defer { for end in ends { close(end) } }
    let log = Logger(descriptor: ends[1], name: "node")
    // More than a pipe holds.
    for number in 0..<2000 { log.info("line \(number) \(String(repeating: "x", count: 80))") }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let first = read(ends[0], &bytes, bytes.count)
    let text = String(decoding: bytes[..<first], as: UTF8.self)
    let written = text.split(separator: "\n").count
    #expect(written > 100 && written < 2000)
    #expect(text.hasSuffix("\n"))
    log.info("the last")
    let second = read(ends[0], &bytes, bytes.count)
    let rest = String(decoding: bytes[..<second], as: UTF8.self).split(separator: "\n")
    #expect(rest.count == 2)
    #expect(rest[0].contains("\(2000 - written) lines left out, nobody was reading"), "\(rest)")
    #expect(rest[1].hasSuffix("info the last"))
    // Whoever asks from elsewhere has them all.
    #expect(log.recent(after: 0).last == 2001)
  }
}
