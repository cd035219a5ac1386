import Messages
import Testing

@testable import Coordination

/// Slices on their way to the server, too much for one message and one moment, and back.
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

  @Test func `nothing is handed in for a view that has not come here`() {
    var scene = FCScene()
    _ = scene.enter(Fixture.view())
    _ = scene.run(turn: 0)
    // The view that passes over turn 0 is lost: its step must not be taken for committed.
    let said = scene.receive(.collect(Collect(transfer: 5, turn: 1)), view: 2)
    #expect(said == [])
    #expect(scene.core.appliedSteps == 0)
    #expect(scene.core.gate.dropped[.future] == 1)
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

  @Test func `parameters with a hole are not taken over`() {
    var scene = FCScene()
    _ = scene.enter(Fixture.view())
    func piece(_ number: Int, of transfer: UInt32, isLast: Bool = false) -> [String] {
      let slice = Slice(
        transfer: transfer, number: number, part: .value, key: 0, firstRow: number, rows: 1,
        firstColumn: 0, columns: 2, isLast: isLast)
      return scene.receive(.slice(slice), frames: [Fixture.floats(2)])
    }
    _ = scene.receive(.restore(Restore(transfer: 2, steps: 4, isInitial: false)))
    #expect(piece(0, of: 2) == ["place row 0"])
    // The second is lost.
    #expect(piece(2, of: 2, isLast: true) == [])
    #expect(scene.core.restoring?.transfer == 2)
    #expect(scene.core.restored == 0)
    // The server gives all of them anew.
    _ = scene.receive(.restore(Restore(transfer: 3, steps: 4, isInitial: false)))
    #expect(piece(0, of: 3) + piece(1, of: 3) == ["place row 0", "place row 1"])
    #expect(piece(2, of: 3, isLast: true) == ["place row 2"])
    #expect(scene.core.restored == 3)
    #expect(scene.core.appliedSteps == 4)
  }

  @Test func `a new view ends it, since what is left would not be taken`() {
    var scene = Self.asked()
    _ = scene.finish()
    _ = scene.enter(Fixture.view(2))
    #expect(scene.drained() == [])
  }

  @Test func `what it says that it waits for while it is given slices is what it waits for`() {
    var scene = FCScene()
    _ = scene.enter(Fixture.view())
    _ = scene.receive(.restore(Restore(transfer: 3, steps: 5, isInitial: false)))
    #expect(scene.waits == ["server: its slices of the checkpoint after 5 steps"])
    let slice = Slice(
      transfer: 3, number: 0, part: .value, key: 0, firstRow: 0, rows: 1, firstColumn: 0,
      columns: 2, isLast: true)
    _ = scene.receive(.slice(slice), frames: [Fixture.floats(2)])
    #expect(scene.waits == ["server: the next view"])
    _ = scene.enter(Fixture.view(2, resumeTurn: 7, isFinal: true)) + scene.finishAll()
    #expect(scene.waits == ["server: the end of the run"])
    // So too one that has been in no view.
    var fresh = FCScene()
    _ = fresh.receive(.restore(Restore(transfer: 1, steps: 5, isInitial: false)))
    #expect(fresh.waits == ["server: its slices of the checkpoint after 5 steps"])
  }
}
