import Foundation
import Messages
import Observability
import Testing

@testable import Nodes

/// What operators have made of the learning rate, from one life of the server to the next.
@Suite struct RateFileTests {
  private static let changes = [
    RateChange(firstStep: 3, factor: 0.5), RateChange(firstStep: 90, factor: 0.125),
  ]

  private let log = Logger(descriptor: 2, name: "test", level: .error)
  private let directory: RunDirectory

  init() throws {
    directory = try RunDirectory(NSTemporaryDirectory() + "crosscut-rates-\(UUID().uuidString)")
  }

  private func options(goesOn: Bool) -> ServerOptions {
    var options = ServerOptions(listen: "inproc://server", runDirectory: directory)
    options.goesOn = goesOn
    return options
  }

  @Test func `a run that goes on finds them, another one does not`() throws {
    defer { try? FileManager.default.removeItem(atPath: directory.path) }
    #expect(options(goesOn: true).keptRateChanges(log) == nil)
    try RateFile(in: directory).write(Self.changes)
    #expect(options(goesOn: true).keptRateChanges(log) == Self.changes)
    // What the life before had in memory is the latest.
    var recut = options(goesOn: true)
    recut.rateChanges = Array(Self.changes.prefix(1))
    #expect(recut.keptRateChanges(log) == Array(Self.changes.prefix(1)))
    #expect(options(goesOn: false).keptRateChanges(log) == nil)
    #expect(options(goesOn: true).keptRateChanges(log) == nil)
  }

  @Test(arguments: [
    "", "[", "{}", #"[{"firstStep":3}]"#, #"[{"factor":0,"firstStep":3}]"#,
    #"[{"factor":-1,"firstStep":3}]"#,
    #"[{"factor":1,"firstStep":3},{"factor":1,"firstStep":3}]"#,
  ])
  func `a file of another kind is not believed`(text: String) throws {
    defer { try? FileManager.default.removeItem(atPath: directory.path) }
    try text.write(toFile: directory.path + "/rates.json", atomically: true, encoding: .utf8)
    #expect(throws: NodeError.self) { try RateFile(in: directory).read() }
    #expect(options(goesOn: true).keptRateChanges(log) == nil)
  }
}
