import Testing

@testable import Nodes

@Suite struct ServerCheckTests {
  @Test(arguments: [0, 1.9, -1.9]) func `clocks that differ a little are fine`(seconds: Double) {
    #expect(ServerCheck.clock(ahead: seconds).state == .good)
  }

  @Test(arguments: [(3600.0, "ahead"), (-90.0, "behind")])
  func `clocks that differ are said, with the direction and what to do`(
    seconds: Double, word: String
  ) {
    let finding = ServerCheck.clock(ahead: seconds)
    #expect(finding.state == .warning && finding.text.hasSuffix(word), "\(finding)")
    #expect(!finding.advice.isEmpty)
  }

  @Test(arguments: [
    (104.0, 0.0), (100, 0), (105, 0), (99, 1.0), (110, -5),
  ])
  func `an answer that took long says nothing of the clock`(theirs: Double, ahead: Double) {
    #expect(ServerCheck.ahead(of: theirs, asked: 100, answered: 105) == ahead)
  }
}
