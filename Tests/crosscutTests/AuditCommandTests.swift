import Foundation
import Nodes
import Testing

@testable import crosscut

@Suite struct AuditCommandTests {
  @Test func `a ledger that cannot be read proves nothing`() throws {
    let folder = NSTemporaryDirectory() + "crosscut-audit-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let ledger = folder + "/ledger.jsonl"
    // It can be opened, and no read of it succeeds.
    try FileManager.default.createDirectory(atPath: ledger, withIntermediateDirectories: true)
    let arguments = try ParsedArguments([folder], of: AuditCommand.command)
    let unreadable = #expect(throws: NodeError.self) { try AuditCommand.run(arguments) }
    #expect("\(try #require(unreadable))" == "\(ledger) cannot be read: is a directory")
    try FileManager.default.removeItem(atPath: ledger)
    let missing = #expect(throws: NodeError.self) { try AuditCommand.run(arguments) }
    #expect("\(try #require(missing))" == "\(ledger): there is no ledger")
  }
}
