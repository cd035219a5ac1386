import Messages
import Testing

@testable import Coordination

@Suite struct ShardDealTests {
  @Test(arguments: [
    // Everybody has everything: evenly.
    (4, [[0, 1, 2, 3], [0, 1, 2, 3]], [0, 1, 0, 1]),
    // Each its own.
    (3, [[2], [0], [1]], [1, 2, 0]),
    // Those that only one has come first, and count.
    (3, [[0, 1, 2], [0, 1]], [1, 0, 0]),
    // What is no group is nothing.
    (1, [[7, 0]], [0]),
    (0, [[], []], []),
  ])
  func `each group goes to a worker that has it, evenly`(
    groups: Int, held: [[Int]], holders: [Int]
  ) {
    let deal = ShardDeal(groups: groups, held: held)
    #expect(deal.holders == holders)
    #expect(deal.missing.isEmpty)
  }

  @Test func `a group that nobody has is named, and nothing is dealt`() {
    let deal = ShardDeal(groups: 4, held: [[1], [1, 2]])
    #expect(deal.missing == [0, 3])
    #expect(deal.holders.isEmpty)
    #expect(ShardDeal.name(deal.missing) == "shard groups 0, 3")
  }

  private static func plan(workers: Int = 2) -> RunPlan {
    var plan = Fixture.plan(workers: workers, fcNodes: 1)
    plan.schedule = Schedule(subBatches: 2, dealsWhole: true, followsHolders: true)
    return plan
  }

  @Test func `rows follow the holders`() {
    let plan = Self.plan()
    #expect(
      plan.blocks(position: 1, workers: 2, holders: [1, 1]).map(\.rows) == [0..<2, 2..<4])
    #expect(plan.blocks(position: 0, workers: 2, holders: [1, 1]).isEmpty)
    #expect(plan.senders(of: 1, workers: 2, holders: [1, 0]) == [2..<4, nil])
  }

  @Test func `a run begins when every group is with somebody, and says what is missing`() {
    var scene = ServerScene(Self.plan())
    _ = scene.join(.worker)
    _ = scene.join(.worker)
    _ = scene.join(.fc)
    _ = scene.beat(3)
    _ = scene.beat(1, heldGroups: [0])
    _ = scene.beat(2, heldGroups: [0])
    #expect(scene.core.state == .gathering)
    #expect(scene.waits == ["a worker that has shard group 1 of the data: to join"])
    _ = scene.join(.worker)
    _ = scene.beat(4, heldGroups: [1])
    #expect(scene.core.state == .running)
    #expect(scene.core.view?.holders == [0, 2])
  }

  @Test func `a group that goes with its worker pauses the run until another has it`() {
    var scene = ServerScene(Self.plan())
    _ = scene.join(.worker)
    _ = scene.join(.worker)
    _ = scene.join(.fc)
    _ = scene.beat(3)
    _ = scene.beat(1, heldGroups: [0, 1])
    _ = scene.beat(2, heldGroups: [1])
    #expect(scene.core.view?.holders == [0, 1])
    _ = scene.finishAll()
    _ = scene.loseConnection(1)
    #expect(scene.core.state == .paused)
    #expect(
      scene.notes.last
        == "paused: nobody has shard group 0 of the data, waiting for one who does")
    _ = scene.join(.worker)
    _ = scene.beat(4, heldGroups: [1])
    #expect(scene.core.state == .paused)
    #expect(scene.waits == ["a worker that has shard group 0 of the data: to join"])
    _ = scene.join(.worker)
    _ = scene.beat(5, heldGroups: [0])
    #expect(scene.core.state == .running)
    #expect(scene.core.view?.workers.map(\.node.value) == [4, 2, 5])
    #expect(scene.core.view?.holders == [2, 0])
  }

  @Test func `a group that another has as well goes on with it`() {
    var scene = ServerScene(Self.plan())
    _ = scene.join(.worker)
    _ = scene.join(.worker)
    _ = scene.join(.fc)
    _ = scene.beat(3)
    _ = scene.beat(1, heldGroups: [0, 1])
    _ = scene.beat(2, heldGroups: [0, 1])
    #expect(scene.core.view?.holders == [0, 1])
    _ = scene.finishAll()
    _ = scene.loseConnection(2)
    #expect(scene.core.state == .running)
    #expect(scene.core.view?.holders == [0, 0])
  }
}
