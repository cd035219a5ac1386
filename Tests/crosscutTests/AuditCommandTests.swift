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

  @Test func `steps that a resume has given up are no contradiction`() {
    let shares = #""shares":[{"node":1,"incarnation":"a1","rows":[[0,6]]}]"#
    func start(_ step: Int) -> String {
      #"{"kind":"start","step":\#(step),"time":1,"run":"00","globalBatch":6,"fcNodes":1}"#
    }
    func step(_ step: Int) -> String {
      #"{"kind":"step","step":\#(step),"time":1,"turn":\#(step),"view":1,\#(shares)}"#
    }
    let lines = [start(0), step(0), step(1), step(2), start(1), step(1)]
    let audit = LedgerAudit(lines.map { $0 + "\n" }.joined(), name: "ledger")
    let report = AuditCommand.report(audit, "ledger")
    #expect(
      report.contains(
        "went back to a checkpoint 0 times; by that and by resumes 2 steps were given up and done"
          + " again"), "\(report)")
  }
}
