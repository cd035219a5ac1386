import Testing

@testable import Nodes

@Suite struct MemoryWatchTests {
  @Test func `the end of the memory is said once, and again after it has been far`() throws {
    var watch = MemoryWatch()
    let limit = 100 << 20
    let lines = [89, 91, 95, 85, 91, 70, 91].map { watch.judge(used: $0 << 20, limit: limit) }
    #expect(lines.map { $0 != nil } == [false, true, false, false, false, false, true])
    let line = try #require(lines[1])
    #expect(line.contains("91 of the 100 MiB") && line.contains("raise the limit"), "\(line)")
  }

  @Test func `a kill that was none of the kernel's is not explained by memory`() {
    #expect(MemoryWatch.explanation(killsBefore: ControlGroup.memoryKills) == "")
    #expect(MemoryWatch.explanation(killsBefore: -1).contains("out of memory"))
  }
}
