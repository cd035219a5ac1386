import Messages
import Testing

@Suite struct RateChangeTests {
  private let changes = [3, 7, 9].map { RateChange(firstStep: $0, factor: Double($0)) }

  @Test(arguments: zip([0, 2, 3, 6, 7, 9, 100] as [UInt64], [1, 1, 3, 3, 7, 9, 9]))
  func `a change holds from its first step to the next change`(step: UInt64, factor: Double) {
    #expect(changes.factor(at: step) == factor)
  }

  @Test(arguments: 0...12)
  func `what matters from a step on says the same from there`(first: UInt64) {
    let part = changes.mattering(from: first)
    for step in first...20 { #expect(part.factor(at: step) == changes.factor(at: step)) }
    #expect([].mattering(from: first).isEmpty)
  }

  @Test func `a new change takes the place of those that were to come`() {
    let changed = changes.adding(RateChange(firstStep: 7, factor: 0.5))
    #expect(changed.map(\.firstStep) == [3, 7])
    #expect(changed.factor(at: 50) == 0.5)
  }

  @Test func `a view carries no more than a message may`() {
    let many = (0..<40).map { RateChange(firstStep: $0, factor: 1) }
    #expect(many.mattering(from: 10).map(\.firstStep) == Array(10..<18))
  }
}
