import Testing

@testable import Nodes

@Suite struct OrderlyEndTests {
  /// What is done in each of so many seconds from now on, looked at five times a second.
  private func watch(
    _ end: inout OrderlyEnd, seconds range: ClosedRange<Int>, serverLives: Bool = true,
    answers: Bool
  ) -> [OrderlyEnd.Step] {
    var steps: [OrderlyEnd.Step] = []
    for tick in (range.lowerBound * 5)..<(range.upperBound * 5) {
      let now = UInt64(tick) * 200_000
      if answers { end.answered(now: now) }
      steps.append(end.look(serverLives: serverLives, now: now))
    }
    return steps
  }

  @Test func `a server that answers may save for as long as it takes, which is said once`() {
    var end = OrderlyEnd(now: 0)
    let steps = watch(&end, seconds: 0...3600, answers: true)
    #expect(!steps.contains(.kill) && !steps.contains(.tellMembers))
    #expect(steps.count { $0 == .remind } == 1)
    #expect(steps.prefix(100).allSatisfy { $0 == .wait })
  }

  @Test func `one that is silent is killed, its members told before`() {
    var end = OrderlyEnd(now: 0)
    _ = watch(&end, seconds: 0...60, answers: true)
    let steps = watch(&end, seconds: 60...90, answers: false)
    #expect(steps.prefix(99).allSatisfy { $0 == .wait })
    #expect(steps[105] == .tellMembers)
    #expect(steps.firstIndex(of: .kill).map { (124...127).contains($0) } == true, "\(steps)")
  }

  @Test func `members that stay after their server are told soon`() {
    var end = OrderlyEnd(now: 0)
    let steps = watch(&end, seconds: 0...5, serverLives: false, answers: false)
    #expect(steps.prefix(14).allSatisfy { $0 == .wait })
    #expect(steps.last == .tellMembers)
  }

  @Test func `a stop in the middle of it kills nobody`() {
    var end = OrderlyEnd(now: 0)
    let steps = [200_000, 3_600_000_000].map { end.look(serverLives: true, now: $0) }
    #expect(steps == [.wait, .wait])
  }

  @Test func `time that was not lived through does not count`() {
    var time = LivedTime(now: 0)
    for second in 1...3 { time.look(now: UInt64(second) * 1_000_000) }
    #expect(time.seconds == 3)
    time.look(now: 100_000_000)
    #expect(time.seconds == 5)
    // A clock that seems to go back adds nothing.
    time.look(now: 99_000_000)
    #expect(time.seconds == 5)
  }
}
