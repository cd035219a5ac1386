import Testing

@testable import Nodes

@Suite struct DescriptorWatchTests {
  private static let second: UInt64 = 1_000_000

  @Test func `the end of the descriptors is said at four fifths and at the end, once each`() throws
  {
    var watch = DescriptorWatch()
    let lines = [79, 80, 90, 99, 100, 81].enumerated().map { index, used in
      watch.judge(used: used, limit: 100, UInt64(index) * Self.second)
    }
    #expect(lines.map { $0 != nil } == [false, true, false, true, false, false])
    let near = try #require(lines[1])
    #expect(near.contains("80 of at most 100") && near.contains("and at the limit"), "\(near)")
    let reached = try #require(lines[3])
    #expect(reached.contains("99 of at most 100 are in use, nobody new gets in"), "\(reached)")
  }

  @Test func `who comes and goes again and again is told of once a minute`() {
    var watch = DescriptorWatch()
    let lines = (0..<36).compactMap { index in
      watch.judge(used: index % 2 == 0 ? 100 : 20, limit: 100, UInt64(index) * 5 * Self.second)
    }
    #expect(lines.count == 3)
  }

  @Test func `a process has not all of its descriptors in use`() {
    var watch = DescriptorWatch()
    #expect(watch.look(0) == nil)
  }
}
