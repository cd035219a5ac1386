import Messages
import Testing

@testable import Coordination

@Suite struct TurnPaceTests {
  private static func pace(_ durations: [Microseconds]) -> TurnPace {
    var pace = TurnPace()
    for duration in durations { pace.note(duration) }
    return pace
  }

  @Test(arguments: [
    // Nothing is known of the pace yet.
    ([], 60), (Array(repeating: 20_000, count: 7), 60),
    // Quick turns are given ten seconds all the same, slow ones what the configuration says at most.
    (Array(repeating: 20_000, count: 8), 10), (Array(repeating: 2_000_000, count: 8), 40),
    (Array(repeating: 30_000_000, count: 8), 60),
    // A turn that took long once says nothing.
    (Array(repeating: 20_000, count: 8) + [900_000_000], 10),
    // What was long ago is forgotten.
    (Array(repeating: 2_000_000, count: 40) + Array(repeating: 1_000_000, count: 32), 20),
  ])
  func `a hang is twenty times the usual turn`(durations: [Int], seconds: Int) {
    let pace = Self.pace(durations.map { Microseconds($0) })
    #expect(pace.patience(atMost: 60_000_000) == Microseconds(seconds) * 1_000_000)
  }
}
