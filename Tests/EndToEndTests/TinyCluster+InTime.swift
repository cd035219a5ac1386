import Foundation
import Observability
import Testing

/// What a test does to a run has to come before the run is over, and that is soon.
extension TinyCluster {
  /// A run was over before the test had done to it what it was to.
  struct TooLate: Error {}

  /// A gentle run that is under way.
  struct Running {
    let program: Program
    /// Its address, and its process.
    let server: String
    let serverProcess: Int32
    let record: StatusRecord

    /// A node's process, "fc 1".
    func process(of name: String) throws -> Int32 {
      try #require(record.nodes.first { "\($0.name)" == name }?.processID)
    }
  }

  /// Does something with a run, from its beginning: anew where it came too late for the run.
  func inTime<Result>(_ body: () throws -> Result) throws -> Result {
    for _ in 0..<4 {
      do {
        return try body()
      } catch is TooLate {
        for process in processes(of: [run]) { kill(process, SIGKILL) }
        expectNoOrphans(run)
        try FileManager.default.removeItem(atPath: run)
      }
    }
    return try body()
  }

  /// Trains gently and does something to the run once it has passed a step. Its server is stopped
  /// meanwhile, so that no step is done before the blow has fallen.
  ///
  /// - Parameters:
  ///   - hasCheckpoint: whether the checkpoint of the first hundred steps has to be there by then.
  ///   - more: options of the run.
  @discardableResult
  func strike(
    at step: UInt64, hasCheckpoint: Bool = false, _ more: [String] = [],
    _ blow: (Running) throws -> Void
  ) throws -> Running {
    try inTime {
      let program = try train(Self.gentle + more)
      let server = try address()
      let record = try catchUp(step: step, at: server, while: program)
      if hasCheckpoint {
        #expect(
          eventually {
            text("run/server.log").contains("checkpoint after 100 steps\n") || !program.isRunning
          }, "\(text("run/server.log"))")
      }
      guard let process = serverProcess() else { throw TooLate() }
      let running = Running(
        program: program, server: server, serverProcess: process, record: record)
      try hold(process) { try blow(running) }
      return running
    }
  }

  /// Does something while a gentle run's server is stopped.
  func hold(_ process: Int32, _ body: () throws -> Void) throws {
    guard kill(process, SIGSTOP) == 0 else { throw TooLate() }
    defer { kill(process, SIGCONT) }
    #expect(eventually { ["T", "Z", nil].contains(state(of: process)) })
    guard state(of: process) == "T", committedSteps + 100 < Self.steps else { throw TooLate() }
    try body()
  }

  /// Has the launcher end the run of a server that is stopped, in order.
  func interrupt(_ running: Running) {
    running.program.send(SIGINT)
    #expect(
      eventually { isPending(SIGUSR1, at: running.serverProcess) }, "\(running.program.output)")
  }
}

/// What the kernel says that a process does: "T" of one that is stopped.
func state(of process: Int32) -> Substring? {
  let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
  return text?.split(separator: ")").last?.split(separator: " ").first
}

/// Whether a signal waits for a process to take it.
func isPending(_ signal: Int32, at process: Int32) -> Bool {
  let text = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
  let mask = text.firstMatch(of: /ShdPnd:\s*([0-9a-f]+)/).flatMap { UInt64($0.1, radix: 16) } ?? 0
  return mask & (1 << UInt64(signal - 1)) != 0
}
