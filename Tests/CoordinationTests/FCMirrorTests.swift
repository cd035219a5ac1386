import Messages
import Network
import Testing

@testable import Coordination

/// The neighbour's slice on an FC node: fc 0 of two keeps fc 1's.
@Suite struct FCMirrorTests {
  private static func entered() -> FCScene {
    var plan = Fixture.plan()
    plan.mirrorsFC = true
    var scene = FCScene(plan)
    _ = scene.enter(Fixture.view())
    return scene
  }

  private static let sent = "exchange 3, turn 0 -> node 12"

  @Test func `a turn ends with an exchange with the mirror, and the word that it can be committed`()
  {
    var scene = Self.entered()
    let said = scene.run(turn: 0)
    #expect(said.filter { $0.contains("exchange 3") } == [Self.sent], "\(said)")
    #expect(said.last == "gradients")
    #expect(scene.waits == ["fc 1: its mirror's part of turn 0"])
    let rest = scene.exchange(3, turn: 0)
    #expect(rest == ["mirror step 0 of 1 sub-batches", "applied turn 0 -> server"])
    #expect(scene.waits.allSatisfy { $0.contains("features of turn 1") }, "\(scene.waits)")
    // Only then is there anything to apply, for both.
    #expect(scene.receive(.advance(Advance(turn: 1))) == ["apply step 0"])
  }

  @Test func `what the neighbour hands over may come before the own part is done`() {
    var scene = Self.entered()
    _ = scene.allFeatures(turn: 0) + scene.finish()
    #expect(scene.exchange(3, turn: 0) == [])
    var said: [String] = []
    for index in 0..<3 { said += scene.exchange(index, turn: 0) + scene.finishAll() }
    let words = said.filter { $0.hasPrefix("mirror") || $0.hasPrefix("applied") }
    #expect(words == ["mirror step 0 of 1 sub-batches", "applied turn 0 -> server"], "\(said)")
    let late = scene.exchange(3, turn: 0)
    #expect(late == [])
    #expect(scene.core.gate.dropped[.stale] == 1)
  }

  @Test func `an evaluation has none, and a new view forgets one that is under way`() {
    var scene = Self.entered()
    _ = scene.run(turn: 0)
    _ = scene.enter(Fixture.view(2, resumeTurn: 0))
    #expect(scene.core.mirroring == nil)
    #expect(scene.core.working == nil)
    for turn in 0..<2 as Range<UInt64> {
      _ = scene.run(turn: turn) + scene.exchange(3, turn: turn)
      _ = scene.receive(.advance(Advance(turn: turn + 1)))
    }
    let said = scene.run(turn: 2)
    #expect(said.filter { $0.contains("exchange 3") || $0.contains("mirror") } == [], "\(said)")
  }

  @Test func `the server may ask for what is mirrored`() {
    var scene = Self.entered()
    let said = scene.receive(.collect(Collect(transfer: 5, turn: 0, mirrored: true)))
    #expect(said == ["collect for 5, mirrored"])
  }
}
