import Observability
import Testing

@testable import crosscut

@Suite struct ServerWatchTests {
  private func record(_ state: StatusRecord.State, run: UInt64 = 1) -> StatusRecord {
    var record = StatusRecord(run: run, name: "tiny")
    record.state = state
    (record.step, record.totalSteps) = (10, 40)
    record.message = state == .running ? "" : "all steps done"
    return record
  }

  @Test func `a server that never answered is not waited for`() {
    var watch = ServerWatch()
    #expect(watch.missed(now: 1) == .lost)
  }

  @Test func `one that is started again is waited for, and told of once`() {
    var watch = ServerWatch()
    watch.heard(record(.running))
    guard case .wait(let line?) = watch.missed(now: 1) else {
      Issue.record("not waited for")
      return
    }
    #expect(line.contains("looking for a server"))
    #expect(watch.missed(now: 2_000_000) == .wait(nil))
    watch.heard(record(.running, run: 2))
    watch.succeeded()
    #expect(watch.missed(now: 3_000_000) == .wait(line))
    #expect(watch.missed(now: 3_000_000 + ServerWatch.patience) == .lost)
  }

  @Test func `a run that ends is no lost server`() {
    var watch = ServerWatch()
    watch.heard(record(.finishing))
    #expect(
      watch.missed(now: 1) == .ended("the run has ended after 10 of 40 steps: all steps done"))
    // The end may come between two looks; what an earlier run left says nothing.
    var late = ServerWatch()
    late.heard(record(.running))
    #expect(late.missed(now: 1, summary: record(.finished, run: 7)) != .lost)
    guard case .ended = late.missed(now: 2, summary: record(.finished)) else {
      Issue.record("not ended")
      return
    }
  }
}
