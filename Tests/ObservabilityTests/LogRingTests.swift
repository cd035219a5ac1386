import Testing

@testable import Observability

@Suite struct LogRingTests {
  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  @Test func `the lines after a number come, oldest first`() {
    var ring = LogRing(capacity: 100)
    #expect(ring.lines(after: 0).isEmpty && ring.last == 0)
    for line in ["one", "two", "three"] { ring.append(Array(line.utf8)) }
    #expect(ring.last == 3)
    #expect(Self.text(ring.lines(after: 0)) == "one\ntwo\nthree\n")
    #expect(Self.text(ring.lines(after: 2)) == "three\n")
    #expect(ring.lines(after: 3).isEmpty)
    // Of a process whose place another has taken.
    #expect(ring.lines(after: 99).isEmpty)
  }

  @Test func `no more bytes are kept than may be, whatever comes`() {
    var ring = LogRing(capacity: 50)
    for number in 1...2000 {
      ring.append(Array("line \(number)".utf8))
      let kept = ring.lines(after: 0)
      #expect(kept.count <= 50)
      #expect(Self.text(kept).hasSuffix("line \(number)\n"))
    }
    #expect(ring.last == 2000)
    #expect(Self.text(ring.lines(after: 1998)) == "line 1999\nline 2000\n")
  }

  @Test func `a line that is larger than the ring is counted, and leaves no bytes`() {
    var ring = LogRing(capacity: 50)
    ring.append(Array("small".utf8))
    ring.append([UInt8](repeating: 0x41, count: 50))
    ring.append(Array("next".utf8))
    #expect(ring.last == 3)
    #expect(Self.text(ring.lines(after: 0)) == "small\nnext\n")
  }
}
