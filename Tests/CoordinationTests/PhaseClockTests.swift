import Messages
import Testing

@testable import Coordination

@Suite struct PhaseClockTests {
  @Test func `the phases' times add up to the time that passed`() {
    var clock = PhaseClock(.data, now: 0)
    let phases: [PhaseClock.Phase] = [
      .convolutionForward, .waitingForFC, .convolutionBackward, .waitingForParameters, .data,
    ]
    var now: Microseconds = 0
    for turn in 1...4 {
      for (index, phase) in phases.enumerated() {
        now += Microseconds(1000 * (index + turn))
        clock.enter(phase, now: now)
      }
      clock.finishTurn()
    }
    let times = clock.takeStepTimes(now: now)
    let sum =
      times.data + times.convolutionForward + times.waitingForFC + times.convolutionBackward
      + times.waitingForParameters
    #expect(sum == Double(now) / 1000 / 4)
    #expect(times.data == 2.5)
    #expect(times.waitingForParameters == 6.5)
  }

  @Test func `a phase that lasts is counted up to now, and the rest next time`() {
    var clock = PhaseClock(.compute, now: 0)
    clock.finishTurn()
    let first = clock.takeStepTimes(now: 3000).compute
    clock.finishTurn()
    let second = clock.takeStepTimes(now: 5000).compute
    #expect(first == 3 && second == 2)
  }

  @Test func `waits of one kind are added together`() {
    var clock = PhaseClock(.waitingForWorkers, now: 0)
    clock.enter(.waitingForPeers, now: 2000)
    clock.enter(.compute, now: 3000)
    clock.finishTurn()
    let times = clock.takeStepTimes(now: 3000)
    #expect(times.waitingForPeers == 3)
  }

  @Test func `between turns the last means stand`() {
    var clock = PhaseClock(.data, now: 0)
    clock.finishTurn()
    let times = clock.takeStepTimes(now: 4000)
    let later = clock.takeStepTimes(now: 9000)
    #expect(later == times)
  }

  @Test func `asking for the times is no progress`() {
    var clock = PhaseClock(.data, now: 0)
    clock.enter(.compute, now: 1000)
    clock.finishTurn()
    _ = clock.takeStepTimes(now: 700_000)
    #expect(clock.since == 1000)
    clock.progressed(now: 800_000)
    #expect(clock.since == 800_000)
  }

  @Test func `a clock that jumps back does not trap`() {
    var clock = PhaseClock(.data, now: 5000)
    clock.enter(.compute, now: 1000)
    clock.finishTurn()
    let times = clock.takeStepTimes(now: 2000)
    #expect(times.data == 0)
  }
}
