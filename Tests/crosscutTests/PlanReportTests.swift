import Testing

@testable import crosscut

@Suite struct PlanReportTests {
  @Test func `what is said of scaling agrees with the table`() {
    #expect(PlanReport.scalingLine(8).hasPrefix("Up to 8 workers each machine does at least 75 %"))
    #expect(PlanReport.scalingLine(1).hasPrefix("With more than one worker each machine does less"))
    #expect(
      PlanReport.scalingLine(0).hasPrefix("With any number of workers each machine does less"))
  }
}
