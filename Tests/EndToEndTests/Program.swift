import Foundation
import Observability
import Synchronization
import Testing

/// The built `crosscut`, run as a user would.
final class Program: Sendable {
  /// Beside the test bundle.
  static let path = URL(fileURLWithPath: CommandLine.arguments[0])
    .deletingLastPathComponent().appendingPathComponent("crosscut").path

  private let process = Process()
  private let words = Words()

  /// - Parameters:
  ///   - directory: where it runs; `nil`: here.
  ///   - shell: what a shell does before it becomes the program, "ulimit -n 64".
  init(
    _ arguments: [String], environment: [String: String] = [:], directory: String? = nil,
    shell: String? = nil
  ) throws {
    process.executableURL = URL(fileURLWithPath: shell == nil ? Self.path : "/bin/bash")
    if let directory { process.currentDirectoryURL = URL(fileURLWithPath: directory) }
    let prefix = shell.map { ["-c", #"\#($0) && exec "$0" "$@""#, Self.path] }
    process.arguments = (prefix ?? []) + arguments
    process.environment = ProcessInfo.processInfo.environment.filter {
      // Whoever runs the tests may have set up a cluster of their own.
      !$0.key.hasPrefix("CROSSCUT_")
    }.merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = words.pipe
    process.standardError = words.pipe
    try process.run()
    words.follow()
  }

  // A test that fails half-way leaves nothing running.
  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  var processID: Int32 { process.processIdentifier }
  var isRunning: Bool { process.isRunning }

  /// What it has written so far, standard error included.
  var output: String { words.text }

  func send(_ signal: Int32) { kill(processID, signal) }

  /// Waits for its end; kills it and fails if it takes too long.
  @discardableResult
  func finish(_ location: SourceLocation = #_sourceLocation) -> Int32 {
    let ended = eventually { !process.isRunning }
    if !ended {
      Issue.record("still running after \(patience) s:\n\(output)", sourceLocation: location)
      kill(processID, SIGKILL)
    }
    process.waitUntilExit()
    return process.terminationStatus
  }

  /// Runs a command to its end.
  static func run(_ arguments: String...) throws -> (code: Int32, output: String) {
    try run(arguments)
  }

  static func run(_ arguments: [String]) throws -> (code: Int32, output: String) {
    let program = try Program(arguments)
    return (program.finish(), program.output)
  }

  /// Runs a command that waits for a server no longer than two seconds, until it says what it should:
  /// on a busy machine an answer may take longer.
  static func run(
    _ arguments: [String], environment: [String: String] = [:],
    until isRight: (_ code: Int32, _ output: String) -> Bool
  ) throws -> (code: Int32, output: String) {
    let deadline = Date(timeIntervalSinceNow: patience)
    while true {
      let program = try Program(arguments, environment: environment)
      let (code, output) = (program.finish(), program.output)
      guard !isRight(code, output), Date() < deadline else { return (code, output) }
    }
  }
}

/// What a process writes into a pipe.
///
/// It is taken out of the pipe by a thread, so that the process never has to wait, and by whoever asks
/// for it, so that nothing written before is missing: neither the line that a server wrote before it
/// answered, nor the last words of a process that has ended. The end of the pipe is no sign of that: a
/// child of the process may still hold it.
private final class Words: Sendable {
  let pipe = Pipe()
  private let bytes = Mutex(Data())

  init() { _ = fcntl(descriptor, F_SETFL, O_NONBLOCK) }

  private var descriptor: Int32 { pipe.fileHandleForReading.fileDescriptor }

  /// All that was written so far.
  var text: String {
    take()
    return bytes.withLock { String(decoding: $0, as: UTF8.self) }
  }

  /// Keeps the pipe empty until everybody who can write to it has ended.
  func follow() {
    Thread.detachNewThread {
      while self.take() {
        var entry = pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)
        poll(&entry, 1, -1)
      }
    }
  }

  /// Takes what is in the pipe.
  ///
  /// - Returns: whether more may come.
  @discardableResult
  private func take() -> Bool {
    bytes.withLock { bytes in
      var buffer = [UInt8](repeating: 0, count: 1 << 16)
      while true {
        let count = read(descriptor, &buffer, buffer.count)
        if count > 0 {
          bytes.append(contentsOf: buffer[..<count])
        } else if count == 0 || errno != EINTR {
          return count < 0 && errno == EAGAIN
        }
      }
    }
  }
}

/// How long what must come is waited for, seconds. It finds what hangs and no more: on a machine
/// whose cores are all busy everything takes many times as long as on a quiet one.
let patience = 150.0

/// Looks again and again, up to a deadline, whether something has come true.
func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
  let deadline = Date(timeIntervalSinceNow: patience)
  while try !condition() {
    guard Date() < deadline else { return false }
    poll(nil, 0, 20)
  }
  return true
}

/// The shortest time that something takes, seconds, of as many as there is patience for; it ends with
/// the first within `bound`. What always takes longer never does, and a busy machine is not always
/// busy.
func shortest(within bound: Double, _ body: () throws -> Void) rethrows -> Double {
  var shortest = Double.infinity
  let deadline = Date(timeIntervalSinceNow: patience)
  repeat {
    let start = Date()
    try body()
    shortest = min(shortest, Date().timeIntervalSince(start))
  } while shortest > bound && Date() < deadline
  return shortest
}

/// A folder that goes when the test is over.
final class Scratch {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "crosscut-test-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func text(_ name: String) -> String {
    (try? String(contentsOfFile: "\(path)/\(name)", encoding: .utf8)) ?? ""
  }

  func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(path)/\(name)") }

  var address: String { text("server.address").trimmingCharacters(in: .whitespacesAndNewlines) }

  /// How the run of a folder in it ended.
  func summary(of run: String = ".") throws -> StatusRecord {
    try .decode(Array(text("\(run)/summary.json").utf8))
  }
}

/// Processes of one run: they all name its folder or its server on their command lines.
func processes(of needles: [String]) -> [Int32] {
  let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
  return entries.compactMap { Int32($0) }.filter { pid in
    guard let data = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") else {
      return false
    }
    let words = data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    return needles.contains { needle in words.contains { $0.contains(needle) } }
  }
}
