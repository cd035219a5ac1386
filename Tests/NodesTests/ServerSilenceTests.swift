import Testing

@testable import Nodes

struct ServerSilenceTests {
  private static let second: UInt64 = 1_000_000

  @Test func `a server that says nothing is asked, and then told of once`() {
    var silence = ServerSilence("tcp://server:5555", since: 100 * Self.second)
    var questions: [UInt64] = []
    var lines: [(second: UInt64, text: String)] = []
    for second in 100...220 as ClosedRange<UInt64> {
      if second == 180 { silence.heard(second * Self.second) }
      let (asks, line) = silence.look(second * Self.second)
      if asks { questions.append(second) }
      if let line { lines.append((second, line)) }
    }
    #expect(questions == [110, 120, 130, 140, 150, 160, 170, 190, 200, 210, 220])
    #expect(lines.map(\.second) == [140, 220])
    #expect(lines.allSatisfy { $0.text.contains("tcp://server:5555 has said nothing for 40 s") })
  }

  @Test func `its own sleep is no silence of the server`() {
    var silence = ServerSilence("tcp://server:5555", since: 0)
    silence.slept(1000 * Self.second)
    #expect(!silence.look(1005 * Self.second).asks)
    #expect(silence.look(1010 * Self.second).asks)
    silence.slept(100 * Self.second)
    #expect(!silence.look(1115 * Self.second).asks)
    #expect(silence.look(1120 * Self.second).asks)
  }
}
