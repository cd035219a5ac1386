import Configuration
import Foundation
import Nodes
import Observability
import Testing

@testable import crosscut

/// What `crosscut train` shows where its output is piped.
@Suite final class ProgressDisplayTests {
  private let folder = NSTemporaryDirectory() + "crosscut-display-\(UUID().uuidString)"
  private var shown = ""

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  private func display() throws -> ProgressDisplay {
    var configuration = try RunConfiguration.preset(named: "fashion")
    configuration.logging.everySeconds = 10
    return ProgressDisplay(configuration, try RunDirectory(folder), isTerminal: false) {
      text, _ in
      self.shown += text
      return true
    }
  }

  private func record(step: UInt64, at seconds: Double) -> StatusRecord {
    var record = StatusRecord(run: 1, name: "tiny")
    record.state = .running
    record.view = 1
    record.step = step
    record.totalSteps = 1000
    record.elapsedSeconds = seconds
    return record
  }

  @Test func `a run stopped before its length is known is not done`() throws {
    var record = record(step: 0, at: 3)
    record.totalSteps = 0
    try display().end(record)
    #expect(shown.contains("stopped: 0 of 0 steps"), "\(shown)")
    #expect(!shown.contains("done"), "\(shown)")
  }

  @Test func `troubles that come at the same time are all shown, once`() throws {
    var record = record(step: 5, at: 1)
    record.events = ["one", "two"].map {
      EventRecord(secondsSinceStart: 0.5, text: "\($0): training goes on")
    }
    let display = try display()
    display.show(record)
    display.show(record)
    #expect(shown.matches(of: /(one|two): training goes on\n/).count == 2, "\(shown)")
  }

  @Test func `servers that have died count in the time that a run took`() throws {
    let display = try display()
    var record = record(step: 5, at: 100)
    record.earlierSeconds = 50
    display.show(record)
    record.earlierSeconds = 170
    record.elapsedSeconds = 27
    display.end(record)
    #expect(shown.contains("stopped: 5 of 1000 steps in 2 min 27 s"), "\(shown)")
  }

  @Test func `what earlier lives have said and measured is not shown again`() throws {
    var record = record(step: 40, at: 0.2)
    record.view = 0
    record.earlierSeconds = 12
    (record.testStep, record.testAccuracy, record.testLoss) = (40, 0.9, 0.5)
    record.events = [EventRecord(secondsSinceStart: 12, text: "old.aside: training goes on")]
    let display = try display()
    display.show(record)
    record.view = 1
    record.elapsedSeconds = 1
    record.events.append(EventRecord(secondsSinceStart: 12.5, text: "full: training goes on"))
    display.show(record)
    #expect(!shown.contains("test accuracy") && !shown.contains("aside"), "\(shown)")
    #expect(shown.contains("full: training goes on\n"), "\(shown)")
    (record.testStep, record.testAccuracy, record.epoch) = (80, 0.95, 2.5)
    display.show(record)
    #expect(shown.contains("epoch 2.50: test accuracy 95.00 %"), "\(shown)")
  }

  @Test(arguments: [
    (Double.nan, "loss nan"), (.infinity, "loss inf"), (1e300, "loss 1e+300"),
    (-1e18, "loss -1e+18"), (9.3e14, "loss 9.3e+14"), (0.12345, "loss 0.1235"),
    (12, "loss 12.0000"),
  ])
  func `a loss of any size is shown, and ends nothing`(loss: Double, expected: String) throws {
    var record = record(step: 500, at: 60)
    record.testStep = 500
    record.testAccuracy = 0.1
    record.testLoss = loss
    let display = try display()
    display.show(record)
    #expect(shown.contains("test accuracy 10.00 %, \(expected)\n"), "\(shown)")
    record.elapsedSeconds = .nan
    record.epoch = .infinity
    record.testAccuracy = .nan
    record.testTop5 = -.infinity
    record.testStep = 600
    display.end(record)
    #expect(shown.contains("epoch inf: test accuracy nan %"), "\(shown)")
    #expect(shown.contains("stopped: 500 of 1000 steps in -\n"), "\(shown)")
  }

  @Test func `a server that counts its seconds anew does not silence the lines`() throws {
    let display = try display()
    display.show(record(step: 1, at: 0))
    display.show(record(step: 2, at: 5))
    display.show(record(step: 500, at: 7200))
    #expect(shown.split(separator: "\n").count == 2, "\(shown)")
    // Killed and started again, or the layers cut anew.
    display.show(record(step: 501, at: 1))
    display.show(record(step: 502, at: 3))
    display.show(record(step: 503, at: 12))
    let lines = shown.split(separator: "\n")
    try #require(lines.count == 4, "\(shown)")
    #expect(lines[2].contains("step 501/1000") && lines[3].contains("step 503/1000"), "\(shown)")
  }
}
