import Testing

@testable import Nodes

@Suite struct PatienceTests {
  @Test func `a node that looks for its server says so, less and less often, and gives up`()
    throws
  {
    var patience = Patience("tcp://10.0.0.1:5555", seconds: 20, since: 1_000_000)
    var lines: [String] = []
    for second in UInt64(0)..<20 {
      if let line = try patience.look(1_000_000 + second * 1_000_000) { lines.append(line) }
    }
    #expect(lines.count == 2)
    #expect(lines[0].contains("tcp://10.0.0.1:5555 yet (5 of 20 s)"), "\(lines)")
    #expect(lines[1].contains("(15 of 20 s)"), "\(lines)")
    let error = #expect(throws: NodeError.self) { try patience.look(21_000_000) }
    #expect(error?.message.contains("for 20 s: is it running") == true)
  }
}
