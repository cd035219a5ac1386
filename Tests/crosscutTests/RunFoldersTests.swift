import Foundation
import Testing

@testable import crosscut

/// Which folder a command takes for the newest run.
@Suite final class RunFoldersTests {
  private let folder = NSTemporaryDirectory() + "crosscut-runs-\(UUID().uuidString)"

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  private func make(
    _ name: String, begun second: Int?, file: String = "config.json"
  ) throws {
    try FileManager.default.createDirectory(
      atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
    guard let second else { return }
    let path = "\(folder)/\(name)/\(file)"
    try Data("{}".utf8).write(to: URL(fileURLWithPath: path))
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSince1970: Double(second))], ofItemAtPath: path)
  }

  /// As a clock leaves it that has once gone wrong: there are no so many nanoseconds in a number.
  @Test func `a time of after 2262 is a time`() throws {
    try make("far", begun: 10_413_792_000)
    try make("mine", begun: 1_000)
    #expect(try RunFolders.find(nil, in: folder) == "\(folder)/far")
  }

  @Test func `the newest run is the one that began last, whatever it is called`() throws {
    try make("mine", begun: 1_000)
    try make("20261129-120000-fashion", begun: 3_000)
    try make("20261129-130000-fashion", begun: 2_000)
    try make("zzz", begun: nil)
    #expect(try RunFolders.find(nil, in: folder) == "\(folder)/20261129-120000-fashion")
    // It is resumed.
    try make("mine", begun: 4_000, file: "server.pid")
    #expect(try RunFolders.find(nil, in: folder) == "\(folder)/mine")
    // Who ends one looks for one that goes on, and if there is none says so of the newest.
    #expect(
      try RunFolders.find(nil, in: folder) { $0.hasSuffix("130000-fashion") }
        == "\(folder)/20261129-130000-fashion")
    #expect(try RunFolders.find(nil, in: folder) { $0.hasSuffix("other") } == "\(folder)/mine")
  }
}
