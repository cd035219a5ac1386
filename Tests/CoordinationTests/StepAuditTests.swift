import Messages
import Testing

@testable import Coordination

@Suite struct StepAuditTests {
  private static let one = NodeID(1)
  private static let two = NodeID(2)

  private func step(
    _ step: UInt64, _ shares: [NodeID: [Range<Int>]] = [one: [0..<3], two: [3..<6]]
  ) -> LedgerEntry {
    .committed(CommitRecord(turn: step, kind: .training(step: step), view: 1, shares: shares))
  }

  private func audit(_ entries: [LedgerEntry]) -> StepAudit {
    var audit = StepAudit(globalBatch: 6)
    for entry in entries { audit.take(entry) }
    return audit
  }

  @Test func `a run without faults is proved`() {
    let evaluation = CommitRecord(
      turn: 2, kind: .evaluation(round: 0, batch: 0, step: 2), view: 1, shares: [:])
    let audit = audit([step(0), step(1), .committed(evaluation), step(2)])
    #expect(audit.findings() == [])
    #expect(audit.steps == 3)
    #expect(audit.discarded == 0)
  }

  @Test func `shares may be cut anew and come in sub-batches`() {
    let audit = audit([
      step(0), step(1, [Self.one: [0..<6]]),
      step(2, [Self.one: [0..<1, 3..<5], Self.two: [1..<3, 5..<6]]),
    ])
    #expect(audit.findings() == [])
  }

  @Test func `what is repeated after going back to a checkpoint counts once`() {
    let audit = audit([step(0), step(1), step(2), .wentOn(afterSteps: 1), step(1), step(2)])
    #expect(audit.findings() == [])
    #expect(audit.steps == 3)
    #expect(audit.discarded == 2)
  }

  @Test func `a step that everybody passes over is accounted for, and only once`() {
    let skipped = audit([step(0), .skipped(step: 1), step(2)])
    #expect(skipped.findings() == [])
    #expect(skipped.skipped == [1])
    let both = audit([step(0), .skipped(step: 1), step(1), .skipped(step: 2), .skipped(step: 2)])
    #expect(both.findings() == [.repeated(step: 1, times: 2), .repeated(step: 2, times: 2)])
  }

  @Test func `a checkpoint may be of steps that were given up before it was known`() {
    // Its server went back to the one before it, and died before it had done them again.
    let audit = audit([step(0), step(1), .wentOn(afterSteps: 0), .wentOn(afterSteps: 2), step(2)])
    #expect(audit.findings() == [])
    #expect(audit.steps == 3)
    #expect(audit.discarded == 0)
  }

  @Test func `a fault in what was given up does not count`() {
    let audit = audit([
      step(0), step(1, [:]), step(1), step(5), step(4), .wentOn(afterSteps: 1), step(1),
    ])
    #expect(audit.findings() == [])
    #expect(audit.discarded == 4)
  }

  @Test func `a missing step is named`() {
    #expect(audit([step(0), step(2)]).findings() == [.missing(steps: 1..<2)])
    #expect(audit([step(3)]).findings() == [.missing(steps: 0..<3)])
  }

  @Test func `a checkpoint whose steps the ledger does not have is named`() {
    let audit = audit([step(0), .wentOn(afterSteps: 3), step(3)])
    #expect(audit.findings() == [.missing(steps: 1..<3)])
    #expect(self.audit([step(0), .wentOn(afterSteps: 2)]).findings() == [.missing(steps: 1..<2)])
  }

  @Test func `a step applied twice is named`() {
    let audit = audit([step(0), step(1), step(1), step(2)])
    #expect(audit.findings() == [.repeated(step: 1, times: 2)])
  }

  @Test func `a step applied after a later one is named`() {
    #expect(
      audit([step(0), step(2), step(1)]).findings() == [.late(step: 1)])
  }

  @Test(arguments: [
    ([one: [1..<3], two: [3..<6]], StepAudit.Finding.hole(step: 0, rows: 0..<1)),
    ([one: [0..<3], two: [4..<6]], .hole(step: 0, rows: 3..<4)),
    ([one: [0..<3], two: [3..<5]], .hole(step: 0, rows: 5..<6)),
    ([:], .hole(step: 0, rows: 0..<6)),
    ([one: [0..<4], two: [3..<6]], .overlap(step: 0, rows: 3..<4, node: two)),
    ([one: [0..<6], two: [1..<2]], .overlap(step: 0, rows: 1..<2, node: two)),
    ([one: [0..<3, 0..<3], two: [3..<6]], .overlap(step: 0, rows: 0..<3, node: one)),
    ([one: [0..<3], two: [3..<7]], .outside(step: 0, rows: 3..<7, node: two)),
    ([one: [-1..<3], two: [3..<6]], .outside(step: 0, rows: -1..<3, node: one)),
    ([one: [0..<6], two: [8..<9]], .outside(step: 0, rows: 8..<9, node: two)),
  ])
  func `shares that do not cover the batch once are named`(
    shares: [NodeID: [Range<Int>]], finding: StepAudit.Finding
  ) {
    #expect(audit([step(0, shares)]).findings() == [finding])
  }

  @Test func `findings say the step, the rows and the node`() {
    let findings = audit([
      step(1, [Self.one: [0..<4], Self.two: [2..<5]]), .wentOn(afterSteps: 4),
    ]).findings()
    #expect(
      findings.map(\.description) == [
        "step 0 was not applied",
        "step 1: node 2 had rows 2 to 3, which had been counted",
        "step 1: nobody had row 5",
        "steps 2 to 3 were not applied",
      ])
  }
}
