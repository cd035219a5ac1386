import Foundation
import Observability
import Testing

@testable import Nodes

/// What a resumed run finds of its earlier lives.
@Suite struct RunHistoryTests {
  private static func directory(_ files: [String: String] = [:]) throws -> RunDirectory {
    let path = NSTemporaryDirectory() + "crosscut-history-\(UUID().uuidString)"
    let directory = try RunDirectory(path)
    for (name, text) in files {
      try text.write(toFile: "\(path)/\(name)", atomically: true, encoding: .utf8)
    }
    return directory
  }

  private static func training(_ step: UInt64, at seconds: Double) -> String {
    #"{"accuracy":0.5,"epoch":1,"kind":"training","learningRate":0.1,"loss":1,"#
      + #""secondsSinceStart":\#(seconds),"step":\#(step)}"# + "\n"
  }

  private static func evaluation(_ step: UInt64, at seconds: Double) -> String {
    #"{"accuracy":0.5,"epoch":1,"kind":"evaluation","loss":1,"secondsSinceStart":\#(seconds),"#
      + #""step":\#(step)}"# + "\n"
  }

  @Test func `a new run has no history`() throws {
    let directory = try Self.directory()
    defer { try? FileManager.default.removeItem(atPath: directory.path) }
    let history = RunHistory(directory, upTo: 0)
    #expect(history.seconds == 0 && history.events.isEmpty && history.metrics.training.isEmpty)
  }

  @Test func `steps behind the checkpoint are done again, their time has passed all the same`()
    throws
  {
    let metrics =
      Self.training(10, at: 4) + Self.evaluation(10, at: 5) + Self.training(20, at: 8)
      + Self.evaluation(20, at: 9)
    let events = #"{"secondsSinceStart":9.5,"text":"ending: SIGTERM","kind":"end"}"# + "\n"
    let directory = try Self.directory(["metrics.jsonl": metrics, "events.jsonl": events])
    defer { try? FileManager.default.removeItem(atPath: directory.path) }
    let history = RunHistory(directory, upTo: 15)
    #expect(history.metrics.training.map(\.step) == [10])
    #expect(history.metrics.evaluations.map(\.step) == [10])
    #expect(history.events.map(\.text) == ["ending: SIGTERM"])
    #expect(history.seconds == 9.5)
  }

  @Test func `damaged files are passed over, line by line where that makes sense`() throws {
    let events =
      "nonsense\n" + #"{"secondsSinceStart":3,"text":"worker 0 joined"}"# + "\n"
      + #"{"secondsSinceStart":4,"te"#
    let directory = try Self.directory(["metrics.jsonl": "nonsense\n", "events.jsonl": events])
    defer { try? FileManager.default.removeItem(atPath: directory.path) }
    let history = RunHistory(directory, upTo: 100)
    #expect(history.metrics.training.isEmpty)
    #expect(history.events.map(\.text) == ["worker 0 joined"])
    #expect(history.seconds == 3)
  }
}
