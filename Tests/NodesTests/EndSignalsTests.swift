import Glibc
import Testing

@testable import Nodes

@Suite struct EndSignalsTests {
  /// What is ordered by signals at their times, milliseconds.
  private func orders(_ signals: (number: Int32, at: UInt64)...) -> [EndSignals.Order] {
    var known = EndSignals()
    return signals.map { known.take($0.number, now: $0.at * 1000) }
  }

  @Test(arguments: [SIGINT, SIGTERM])
  func `a second signal ends at once, the first one's echo does not`(second: Int32) {
    #expect(
      orders((SIGTERM, 1000), (second, 1200), (second, 3000)) == [.inOrder, .nothing, .atOnce])
  }

  @Test func `a lost terminal is told of twice, and wants no end at once`() {
    #expect(
      orders((SIGHUP, 1000), (SIGHUP, 3000), (SIGINT, 4000)) == [.inOrder, .nothing, .atOnce])
    #expect(orders((SIGINT, 1000), (SIGHUP, 3000)) == [.inOrder, .nothing])
  }

  @Test func `who passes an end on hurries nobody, and is no first signal`() {
    let pass = Signals.orderly
    #expect(orders((pass, 1000), (pass, 3000), (pass, 9000)) == [.inOrder, .nothing, .nothing])
    #expect(
      orders((pass, 1000), (SIGTERM, 3000), (pass, 4000), (SIGINT, 5000)) == [
        .inOrder, .again, .nothing, .atOnce,
      ])
    #expect(orders((SIGINT, 1000), (pass, 3000)) == [.inOrder, .nothing])
  }
}
