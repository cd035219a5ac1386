import Testing

@testable import Observability

@Suite struct RateMeterTests {
  @Test func `nothing is known before two moments are`() {
    var meter = RateMeter()
    #expect(meter.rate(at: 0) == nil)
    meter.record(total: 0, at: 5)
    #expect(meter.rate(at: 5) == nil)
    #expect(meter.secondsLeft(remaining: 10, at: 5) == nil)
    #expect(meter.secondsLeft(remaining: 0, at: 5) == 0)
  }

  @Test func `a steady run has its rate, at any sampling`() throws {
    for interval in [0.001, 0.05, 0.9, 4] {
      var meter = RateMeter(windowSeconds: 10)
      var time = 0.0
      while time < 40 {
        meter.record(total: UInt64((time * 1000).rounded()), at: time)
        time += interval
      }
      let rate = try #require(meter.rate(at: time - interval))
      #expect(abs(rate - 1000) < 1)
    }
  }

  @Test func `the window forgets what is past`() throws {
    var meter = RateMeter(windowSeconds: 10)
    for second in 0...20 { meter.record(total: UInt64(second * 100), at: Double(second)) }
    for second in 21...40 {
      meter.record(total: UInt64(2000 + (second - 20) * 10), at: Double(second))
    }
    #expect(meter.rate(at: 40) == 10)
    #expect(meter.secondsLeft(remaining: 500, at: 40) == 50)
  }

  @Test func `a run that stands still slows down and comes to nothing`() throws {
    var meter = RateMeter(windowSeconds: 10)
    for second in 0...10 { meter.record(total: UInt64(second * 100), at: Double(second)) }
    #expect(meter.rate(at: 10) == 100)
    #expect(meter.rate(at: 15) == 50)
    #expect(meter.rate(at: 30) == 0)
    #expect(meter.secondsLeft(remaining: 100, at: 30) == nil)
  }

  @Test func `going back to a checkpoint starts over`() {
    var meter = RateMeter(windowSeconds: 10)
    meter.record(total: 0, at: 0)
    meter.record(total: 1000, at: 1)
    meter.record(total: 400, at: 2)
    #expect(meter.rate(at: 2) == nil)
    meter.record(total: 500, at: 3)
    #expect(meter.rate(at: 3) == 100)
  }

  @Test func `a clock that goes back is ignored`() {
    var meter = RateMeter(windowSeconds: 10)
    meter.record(total: 0, at: 10)
    meter.record(total: 100, at: 12)
    meter.record(total: 200, at: 11)
    #expect(meter.rate(at: 12) == 50)
  }

  @Test func `a pause in which nobody did anything leaves the rate as it was`() throws {
    var meter = RateMeter(windowSeconds: 10)
    for second in 0...20 { meter.record(total: UInt64(second * 100), at: Double(second)) }
    meter.slept(3600)
    #expect(meter.rate(at: 3620) == 100)
    for second in 21...25 { meter.record(total: UInt64(second * 100), at: Double(3600 + second)) }
    #expect(meter.rate(at: 3625) == 100)
    #expect(meter.secondsLeft(remaining: 1000, at: 3625) == 10)
  }
}
