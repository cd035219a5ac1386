import Testing
import Transport

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

  @Test func `time in which the node itself did not run is none that it has waited`() throws {
    var patience = Patience("tcp://10.0.0.1:5555", seconds: 20, since: 1_000_000)
    var pauses = PauseWatch()
    #expect(pauses.look(1_000_000) == nil)
    #expect(pauses.look(1_400_000) == nil)
    let gap = pauses.look(101_400_000)
    #expect(gap == 100_000_000)
    patience.slept(gap ?? 0)
    #expect(pauses.look(101_450_000) == nil)
    #expect(try patience.look(120_900_000)?.contains("(19 of 20 s)") == true)
    #expect(throws: NodeError.self) { try patience.look(121_000_000) }
  }

  @Test func `a server that has let a node in may be silent for as long as the node has patience`()
  {
    var watch = HandshakeWatch()
    for second in UInt64(0)..<100 {
      let verdict = watch.judge(.hungUp("Broken pipe"), now: second * 1_000_000, isKnown: true)
      #expect(verdict == .wait)
    }
    // The list of keys may be being written anew.
    #expect(watch.judge(.keyRefused, now: 100_000_000, isKnown: true) == .wait)
    var new = HandshakeWatch()
    #expect(new.judge(.keyRefused, now: 0) == .giveUp)
    #expect(new.judge(.hungUp("Broken pipe"), now: 0) == .wait)
    new.slept(60_000_000)
    #expect(new.judge(.hungUp("Broken pipe"), now: 61_000_000) == .wait)
    #expect(new.judge(.hungUp("Broken pipe"), now: 71_000_000) == .giveUp)
  }

  @Test func `who is let in by nobody hears at the end why, not that nobody is there`() throws {
    var patience = Patience("tcp://10.0.0.1:5555", seconds: 20, since: 1_000_000)
    #expect(try patience.look(6_000_000, trouble: "it has another key") == nil)
    let error = #expect(throws: NodeError.self) {
      try patience.look(21_000_000, trouble: "it has another key")
    }
    #expect(error?.message == "it has another key")
  }

  @Test func `a handshake that failed is of no account once it succeeds or nobody answers`() {
    var watch = HandshakeWatch()
    #expect(watch.trouble(now: 0) == nil)
    _ = watch.judge(.hungUp("Broken pipe"), now: 5_000_000)
    #expect(watch.trouble(now: 7_900_000) == .hungUp("Broken pipe"))
    #expect(watch.trouble(now: 8_000_000) == nil)
    watch.connected()
    #expect(watch.trouble(now: 5_000_000) == nil)
  }
}
