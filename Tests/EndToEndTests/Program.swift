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
  private let collected = Mutex(Data())
  private let pipe = Pipe()

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
    process.standardOutput = pipe
    process.standardError = pipe
    pipe.fileHandleForReading.readabilityHandler = { [weak self] handle in
      let data = handle.availableData
      self?.collected.withLock { $0.append(data) }
    }
    try process.run()
  }

  // A test that fails half-way leaves nothing running.
  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  var processID: Int32 { process.processIdentifier }
  var isRunning: Bool { process.isRunning }

  /// What it has written so far, standard error included.
  var output: String { collected.withLock { String(decoding: $0, as: UTF8.self) } }

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
    pipe.fileHandleForReading.readabilityHandler = nil
    let rest = (try? pipe.fileHandleForReading.readToEnd()) ?? nil
    if let rest { collected.withLock { $0.append(rest) } }
    return process.terminationStatus
  }

  /// Runs a command to its end.
  static func run(_ arguments: String...) throws -> (code: Int32, output: String) {
    let program = try Program(arguments)
    return (program.finish(), program.output)
  }
}

/// How long what must come is waited for, seconds. It finds what hangs and no more: on a machine
/// whose cores are all busy everything takes many times as long as on a quiet one.
let patience = 150.0

/// Looks again and again, up to a deadline, whether something has come true.
func eventually(_ condition: () -> Bool) -> Bool {
  let deadline = Date(timeIntervalSinceNow: patience)
  while !condition() {
    guard Date() < deadline else { return false }
    poll(nil, 0, 20)
  }
  return true
}

/// The shortest of up to five times that something takes, seconds; it ends with the first within
/// `bound`. What always takes longer never does, and a busy machine is not always busy.
func shortest(within bound: Double, _ body: () throws -> Void) rethrows -> Double {
  var shortest = Double.infinity
  for _ in 0..<5 where shortest > bound {
    let start = Date()
    try body()
    shortest = min(shortest, Date().timeIntervalSince(start))
  }
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

  func summary() throws -> StatusRecord { try .decode(Array(text("summary.json").utf8)) }
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
