import Observability
import Testing

@testable import Nodes

/// What `ledger.jsonl` proves.
@Suite struct LedgerTests {
  private static let shares =
    #""shares":[{"node":1,"incarnation":"a1","rows":[[0,3]]},{"node":2,"incarnation":"b2","rows":[[3,6]]}]"#

  private func start(_ steps: Int = 0, batch: Int = 6) -> String {
    #"{"kind":"start","step":\#(steps),"time":1,"run":"00","globalBatch":\#(batch),"fcNodes":1}"#
  }

  private func step(_ step: Int, _ more: String = "") -> String {
    #"{"kind":"step","step":\#(step),"time":1,"turn":\#(step),"view":1\#(more.isEmpty ? "" : ",")\#(more)}"#
  }

  private func line(_ kind: String, _ step: Int) -> String {
    #"{"kind":"\#(kind)","step":\#(step),"time":1}"#
  }

  private func audit(_ lines: [String], torn: String = "") -> LedgerAudit {
    LedgerAudit(lines.map { "\($0)\n" }.joined() + torn, name: "ledger")
  }

  @Test func `a run across deaths, going back and resumes is proved`() {
    let one = #""shares":[{"node":1,"incarnation":"a1","rows":[[0,6]]}]"#
    let audit = audit([
      start(), step(0, Self.shares), step(1), step(2, one), line("back", 1), step(1), step(2),
      line("evaluation", 3), step(3), start(2), step(2, Self.shares), step(3), line("end", 4),
    ])
    #expect(audit.findings == [])
    #expect(audit.steps == 4)
    #expect(audit.examples == 24)
    #expect(audit.lives == 2)
    #expect(audit.workers == 2)
    #expect(audit.cuts == 3)
    #expect(audit.goingsBack == 1)
    #expect(audit.discarded == 4)
    #expect(audit.ended == "")
  }

  @Test func `what is missing, doubled or has a hole is named`() {
    let hole = #""shares":[{"node":1,"incarnation":"a1","rows":[[0,4]]}]"#
    let audit = audit([
      start(), step(0, Self.shares), step(2), step(2), step(3, hole), line("end", 5),
    ])
    #expect(
      audit.findings == [
        "ledger: line 6: the run ended after 5 steps, 4 are here", "step 1 was not applied",
        "step 2 was applied 2 times", "step 3: nobody had rows 4 to 5",
      ])
  }

  @Test func `a run that is resumed with another global batch is proved by each`() {
    let eight = #""shares":[{"node":1,"incarnation":"a1","rows":[[0,8]]}]"#
    let audit = audit([
      start(), step(0, Self.shares), step(1), step(2), start(2, batch: 8), step(2, eight), step(3),
      line("end", 4),
    ])
    #expect(audit.findings == [])
    #expect(audit.globalBatches == [6, 8])
    #expect(audit.examples == 28)
  }

  @Test func `a resumed server that ended before anybody came is no fault`() {
    let lines = [start(), step(0, Self.shares), step(1), line("end", 2)]
    for steps in [0, 2] {
      let idle = audit(lines + [start(2), line("end", steps), start(2), step(2, Self.shares)])
      #expect(idle.findings == [])
      #expect(idle.steps == 3)
    }
    // Who has worked knows how many there are.
    let wrong = audit(lines + [start(2), step(2, Self.shares), line("end", 0)])
    #expect(wrong.findings == ["ledger: line 7: the run ended after 0 steps, 3 are here"])
  }

  @Test func `numbers that no run can have are named and trap nobody`() {
    let batch = Int.max
    let audit = audit([
      start(batch: batch), step(0, Self.shares), step(1), step(2),
      #"{"kind":"step","step":18446744073709551614,"time":1,"turn":9,"view":1}"#,
    ])
    #expect(audit.findings.contains("steps 3 to 18446744073709551613 were not applied"))
    #expect(audit.examples == .max)
  }

  @Test func `a step before anybody has a share is not covered`() {
    // A server that begins anew says anew who has what.
    let audit = audit([start(), step(0, Self.shares), start(1), step(1)])
    #expect(audit.findings == ["step 1: nobody had rows 0 to 5"])
  }

  @Test func `a skipped step is told and is no fault`() {
    let audit = audit([start(), step(0, Self.shares), line("skip", 1), step(2)])
    #expect(audit.findings == [])
    #expect(audit.skipped == [1])
  }

  @Test func `a run resumed from elsewhere begins there`() {
    let audit = audit([start(500), step(500, Self.shares), step(501)])
    #expect(audit.findings == [])
    #expect(audit.firstStep == 500)
    #expect(audit.examples == 12)
  }

  /// The start of a run that goes on from a checkpoint of another, or begins anew.
  private func start(_ steps: Int, run: String, from: String? = nil) -> String {
    let origin = from.map { #","from":"\#($0)""# } ?? ""
    return
      #"{"kind":"start","step":\#(steps),"time":1,"run":"\#(run)","globalBatch":6,"fcNodes":1\#(origin)}"#
  }

  @Test func `what an attempt did that the run does not come from is neither proof nor fault`() {
    // It forgot where it was to go on from, and left no checkpoint.
    let attempt = [start(0, run: "a1"), step(0, Self.shares), step(1)]
    let begun = [start(3, run: "a2", from: "ff"), step(3, Self.shares), step(4), line("end", 5)]
    for lines in [attempt + begun, attempt + [step(2), step(3), step(4)] + begun] {
      let audit = audit(lines)
      #expect(audit.findings == [])
      #expect(audit.firstStep == 3 && audit.steps == 5)
      #expect(audit.examples == 12)
      #expect(audit.discarded == lines.count - begun.count - 1)
    }
    // The other way about: it begins anew, and has nothing of the steps of before.
    let anew = audit([
      start(3, run: "a1", from: "ff"), step(3, Self.shares), start(0, run: "a2"),
      step(0, Self.shares), step(1), line("end", 2),
    ])
    #expect(anew.findings == [])
    #expect(anew.firstStep == 0 && anew.steps == 2)
  }

  @Test func `a course is proved by its own steps, not by those of another`() {
    let hole = #""shares":[{"node":1,"incarnation":"a1","rows":[[0,4]]}]"#
    let first = [
      start(0, run: "a1"), step(0, Self.shares), step(1), step(2, hole), step(3, Self.shares),
    ]
    // Gone back on purpose, and then on from the newer checkpoint after all.
    let second = [start(1, run: "a2", from: "a1"), step(1, Self.shares), step(2)]
    let third = [start(4, run: "a3", from: "a1"), step(4, Self.shares)]
    #expect(audit(first + second).findings == [])
    #expect(audit(first + second + third).findings == ["step 2: nobody had rows 4 to 5"])
    // A server that came back from the same checkpoint twice.
    let again = [start(1, run: "a4", from: "a1"), step(1, Self.shares), step(2)]
    let back = audit(first + second + again)
    #expect(back.findings == [] && back.lives == 3 && back.discarded == 5)
  }

  @Test func `a line that a killed server left torn is passed over, any other is named`() {
    #expect(audit([start(), step(0, Self.shares)], torn: #"{"kind":"st"#).findings == [])
    let resumed = audit([start(), step(0, Self.shares), #"{"kind":"st"#, start(1)])
    #expect(resumed.findings == [])
    let damaged = audit([start(), "flipped", step(0, Self.shares)])
    #expect(damaged.findings == ["ledger: line 2: not JSON"])
  }

  @Test func `numbers beyond all measure in a damaged ledger are named, and end nothing`() {
    let far =
      #"{"kind":"step","step":18446744073709551614,"time":1,"turn":1,"view":1,"shares":[{"node":1,"incarnation":"a1","rows":[[\#(Int.min),\#(Int.max)]]}]}"#
    let audit = audit([start(), step(0, Self.shares), far])
    #expect(
      audit.findings == [
        "steps 1 to 18446744073709551613 were not applied",
        "step 18446744073709551614: node 1 had rows \(Int.min) to \(Int.max - 1), outside the "
          + "global batch",
      ])
    #expect(audit.steps == .max)
    // Those of the two steps that are there.
    #expect(audit.examples == 12)
  }

  @Test func `other data, another batch and no beginning are named`() {
    func data(_ fingerprint: String) -> String {
      #""trainingExamples":9,"datasetFingerprint":"\#(fingerprint)""#
    }
    let other = audit([
      start(), step(0, Self.shares + "," + data("aa")), start(1),
      step(1, Self.shares + "," + data("bb")),
    ])
    #expect(other.findings == ["ledger: line 4: data set bb, before it was aa"])
    #expect(audit([step(0)]).findings == ["ledger does not begin with the start of a server"])
    #expect(audit([]).findings.count == 1)
  }
}
