import Messages
import Testing

@testable import Coordination

/// Slices that are too much for one message and one moment.
@Suite struct FCHandoverTests {
  /// fc 0 of two, asked for its slices before turn 0.
  private static func asked() -> FCScene {
    var scene = FCScene()
    scene.handsInParts = true
    _ = scene.enter(Fixture.view())
    _ = scene.receive(.collect(Collect(transfer: 5, turn: 0)))
    return scene
  }

  @Test func `each part of the slices waits until the one before has gone out`() {
    var scene = Self.asked()
    var said = scene.drained()
    #expect(said == [])
    said = scene.finish()
    #expect(said.count == 2)
    #expect(said.allSatisfy { $0.hasSuffix("-> server, bulk") })
    #expect(scene.core.handsInMore)
    said = scene.drained()
    #expect(said == ["collect on"])
    said = scene.drained()
    #expect(said == [])
    said = scene.finish()
    #expect(said.count == 1)
    #expect(!scene.core.handsInMore)
    said = scene.drained()
    #expect(said == [])
  }

  @Test func `training goes on between two parts`() {
    var scene = Self.asked()
    _ = scene.finish()
    var said = scene.run(turn: 0)
    #expect(said.last == "gradients")
    said = scene.allFeatures(turn: 1)
    #expect(said == ["apply step 0", "train 4 at step 1: 0+2 2+2"])
    #expect(scene.drained() == ["collect on"])
  }

  @Test func `a new view ends it, since what is left would not be taken`() {
    var scene = Self.asked()
    _ = scene.finish()
    _ = scene.enter(Fixture.view(2))
    #expect(scene.drained() == [])
  }
}
