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

  @Test func `one that cannot be made is tried again every second for a minute`() {
    var deaths = DeathCount(now: 0)
    let first = deaths.mayRestart(now: 10_000_000)
    let isNews = deaths.couldNotStart(now: 10_000_000)
    #expect(first && isNews)
    #expect(deaths.isHeldBack(now: 10_900_000))
    #expect(!deaths.isHeldBack(now: 11_000_000))
    let second = deaths.mayRestart(now: 11_000_000)
    let isNewsAgain = deaths.couldNotStart(now: 11_000_000)
    #expect(second && !isNewsAgain)
    let third = deaths.mayRestart(now: 12_000_000)
    deaths.hasStarted(now: 12_000_000)
    #expect(third)
    // None of that was a death within seconds.
    let answers = (1...6).map { deaths.mayRestart(now: 12_000_000 + UInt64($0) * 1_000_000) }
    #expect(answers == [true, true, true, true, true, false])
    var hopeless = DeathCount(now: 0)
    let attempts = (1...61 as ClosedRange<UInt64>).map { second in
      let may = hopeless.mayRestart(now: second * 1_000_000)
      _ = hopeless.couldNotStart(now: second * 1_000_000)
      return may
    }
    #expect(attempts == [Bool](repeating: true, count: 60) + [false])
    #expect(hopeless.reason == "it cannot be started")
  }

  @Test func `one that started long ago has joined the others, or never will`() {
    var deaths = DeathCount(now: 0)
    #expect(!deaths.isSettled(now: 50_000_000))
    #expect(deaths.isSettled(now: 61_000_000))
    _ = deaths.mayRestart(now: 62_000_000)
    #expect(!deaths.isSettled(now: 63_000_000))
  }
}
