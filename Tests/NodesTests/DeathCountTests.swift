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

  @Test func `one that was given up stays so, however often and late somebody asks`() {
    var deaths = DeathCount(now: 0)
    let starts = (1...6).map { deaths.mayRestart(now: UInt64($0) * 100_000) }
    #expect(starts == [true, true, true, true, true, false])
    // The launcher looks at the same death five times a second.
    let answers = (4...100).map { deaths.mayRestart(now: UInt64($0) * 200_000) }
    #expect(!answers.contains(true))
    #expect(deaths.hasGivenUp)
  }

  @Test func `one that started long ago has joined the others, or never will`() {
    var deaths = DeathCount(now: 0)
    #expect(!deaths.isSettled(now: 50_000_000))
    #expect(deaths.isSettled(now: 61_000_000))
    _ = deaths.mayRestart(now: 62_000_000)
    #expect(!deaths.isSettled(now: 63_000_000))
  }
}
