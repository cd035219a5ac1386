import Messages
import Testing
import Training

@testable import Nodes

@Suite struct RateSheetTests {
  private let header = Header(run: 1, view: 1, sender: .server, incarnation: 2)

  private static func changes(_ factor: Double) -> [RateChange] {
    [RateChange(firstStep: 3, factor: factor)]
  }

  @Test func `a member knows of the learning rate what the server last said, and nothing before`()
    throws
  {
    let plan = try RunContext(try TinyRun.configuration()).plan
    let rates = RateSheet()
    #expect(rates.totalSteps == 0 && rates.reductions == 0 && rates.factor(at: 9) == 1)
    let facts = DatasetFacts(trainingExamples: 101, evaluationExamples: 33, fingerprint: 7)
    let view = View(
      number: 1, resumeTurn: 0, workers: [], fcNodes: [], dataset: facts, rateReductions: 2,
      rateChanges: Self.changes(0.5))
    rates.follow(Message(header, .view(view)), plan)
    #expect(rates.totalSteps == 20 && rates.reductions == 2)
    #expect(rates.factor(at: 2) == 1 && rates.factor(at: 3) == 0.5)
    let advance = Advance(turn: 1, rateReductions: 3, rateChanges: Self.changes(0.25))
    rates.follow(Message(header, .advance(advance)), plan)
    #expect(rates.totalSteps == 20 && rates.reductions == 3 && rates.factor(at: 3) == 0.25)
    // Other messages say nothing of it.
    rates.follow(Message(header, .goodbye), plan)
    #expect(rates.reductions == 3 && rates.changes == Self.changes(0.25))
  }

  @Test func `a rate far beyond the schedule's is warned of`() {
    #expect(RateSheet.warning(of: 2) == "" && RateSheet.warning(of: 0.001) == "")
    #expect(RateSheet.warning(of: 2e31).contains("warning: that is far beyond the schedule's"))
  }
}
