import Testing

@testable import Nodes

@Suite struct DeathCountTests {
  @Test func `a process that dies at once is started again five times`() {
    var deaths = DeathCount(now: 0)
    let answers = (1...6).map { deaths.mayRestart(now: UInt64($0) * 1_000_000) }
    #expect(answers == [true, true, true, true, true, false])
  }

  @Test func `one that works in between is started again for ever`() {
    var deaths = DeathCount(now: 0)
    let answers = (1...100).map { deaths.mayRestart(now: UInt64($0) * 6_000_000) }
    #expect(answers.allSatisfy { $0 })
  }

  @Test func `a long life forgives quick deaths before it`() {
    var deaths = DeathCount(now: 0)
    for number in 1...5 { _ = deaths.mayRestart(now: UInt64(number) * 1_000_000) }
    let answers = [60_000_000, 60_000_001].map { deaths.mayRestart(now: $0) }
    #expect(answers == [true, true])
  }
}
