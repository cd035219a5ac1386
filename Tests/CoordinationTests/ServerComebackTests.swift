import Messages
import Testing

@testable import Coordination

/// A server that goes on with a run, and nodes that nobody starts again.
@Suite struct ServerComebackTests {
  private static func plan(recuts: Bool = false, minimumWorkers: Int = 1) -> RunPlan {
    var plan = Fixture.plan(workers: 3, fcNodes: 3)
    plan.recutsOnLoss = recuts
    plan.minimumWorkers = minimumWorkers
    return plan
  }

  /// Some have come, and are ready but for the last `preparing`; workers first.
  private static func came(
    workers: Int, fcNodes: Int, preparing: Int = 0, _ plan: RunPlan, goesOn: Bool = true
  ) -> ServerScene {
    var scene = ServerScene(plan, goesOn: goesOn)
    for _ in 0..<workers { _ = scene.join(.worker) }
    for _ in 0..<fcNodes { _ = scene.join(.fc) }
    for node in 1..<workers + fcNodes + 1 {
      _ = scene.beat(node, ready: node <= workers + fcNodes - preparing)
    }
    return scene
  }

  /// Nobody comes for longer than a turn may take without progress; everybody lives.
  private static func patience(_ scene: inout ServerScene, preparing: Int = 0) -> [String] {
    let count = scene.core.membership.records.count
    var said: [String] = []
    for _ in 0..<31 where scene.core.state == .gathering {
      for node in 1..<count + 1 { said += scene.beat(node, ready: node <= count - preparing) }
      said += scene.wait(milliseconds: 1000)
    }
    return said
  }

  @Test func `it opens with the workers that are there, if they are enough to go on`() {
    var scene = Self.came(workers: 2, fcNodes: 3, Self.plan(minimumWorkers: 2))
    #expect(scene.core.state == .gathering)
    let said = Self.patience(&scene)
    #expect(said.first == "view 1 at turn 0 -> node 1", "\(said)")
    #expect(scene.core.view?.workers.count == 2)
    #expect(scene.notes.contains { $0.hasSuffix(": the run goes on with 2 workers") })
    var few = Self.came(workers: 1, fcNodes: 3, Self.plan(minimumWorkers: 2))
    #expect(Self.patience(&few) == [])
    #expect(few.core.state == .gathering)
  }

  @Test func `a resumed run that ends before it is taken up has its checkpoint's steps`() {
    var scene = ServerScene(Fixture.plan(), resumeSteps: 2)
    #expect(scene.core.committedSteps == 2)
    _ = scene.join(.worker)
    _ = scene.stop()
    #expect(scene.core.committedSteps == 2)
    // One that has more steps than the run is to have ends likewise.
    var long = ServerScene(Fixture.plan(steps: 2), resumeSteps: 9)
    _ = long.join(.worker)
    _ = long.beat(1)
    guard case .farewell(let stop, _) = long.core.state else {
      Issue.record("\(long.core.state)")
      return
    }
    #expect(stop.outcome == .failed && long.core.committedSteps == 9, "\(stop)")
  }

  @Test func `a run that begins waits for all`() {
    var scene = Self.came(workers: 2, fcNodes: 3, Self.plan(), goesOn: false)
    #expect(Self.patience(&scene) == [])
    #expect(scene.core.state == .gathering)
    scene = Self.came(workers: 3, fcNodes: 2, Self.plan(recuts: true), goesOn: false)
    #expect(Self.patience(&scene) == [])
  }

  @Test func `the layers are cut among the fc nodes that are there, ready or not`() {
    var scene = Self.came(workers: 3, fcNodes: 2, preparing: 1, Self.plan(recuts: true))
    let said = Self.patience(&scene, preparing: 1)
    #expect(said == ["recut among 2"])
    #expect(scene.core.state == .over)
    // Another is waited for where the layers are not to be cut anew, and the first one always.
    var waiting = Self.came(workers: 3, fcNodes: 2, Self.plan())
    #expect(Self.patience(&waiting) == [])
    var none = Self.came(workers: 3, fcNodes: 0, Self.plan(recuts: true))
    #expect(Self.patience(&none) == [])
  }

  @Test func `while the server does not run nobody could have come`() {
    var scene = Self.came(workers: 2, fcNodes: 3, Self.plan())
    _ = scene.standStill(milliseconds: 60_000)
    #expect(scene.wait(milliseconds: 0) == [])
    #expect(scene.core.state == .gathering)
  }

  @Test func `one that comes and dies again and again does not keep the run from going on`() {
    var scene = Self.came(workers: 2, fcNodes: 3, Self.plan(minimumWorkers: 2))
    var guest = 5
    for second in 0..<60 where scene.core.state == .gathering {
      if second % 10 == 0 {
        _ = scene.join(.worker)
        guest += 1
      }
      if second % 10 == 5 { _ = scene.loseConnection(guest) }
      for node in 1...5 { _ = scene.beat(node) }
      if second % 10 < 5 { _ = scene.beat(guest, ready: false) }
      _ = scene.wait(milliseconds: 1000)
    }
    #expect(guest > 7)
    #expect(scene.core.state == .running)
    #expect(scene.core.view?.workers.count == 2)
  }

  @Test func `others are waited for once the workers have come back after a long time`() {
    var scene = Self.came(
      workers: 2, fcNodes: 2, Self.plan(recuts: true, minimumWorkers: 2))
    for worker in 1...2 { _ = scene.loseConnection(worker) }
    func beats(_ nodes: ClosedRange<Int>, seconds: Int) -> [String] {
      var said: [String] = []
      for _ in 0..<seconds where scene.core.state == .gathering {
        for node in nodes { said += scene.beat(node) }
        said += scene.wait(milliseconds: 1000)
      }
      return said
    }
    #expect(beats(3...4, seconds: 100) == [])
    for _ in 0..<2 { _ = scene.join(.worker) }
    _ = beats(3...6, seconds: 25)
    #expect(scene.core.state == .gathering)
    #expect(beats(3...6, seconds: 10) == ["recut among 2"])
  }

  @Test func `who brings the run nearer to its beginning is waited for anew`() {
    var scene = Self.came(workers: 1, fcNodes: 3, Self.plan())
    for _ in 0..<20 {
      for node in 1...4 { _ = scene.beat(node) }
      _ = scene.wait(milliseconds: 1000)
    }
    _ = scene.join(.worker)
    for _ in 0..<20 {
      for node in 1...5 { _ = scene.beat(node, ready: node < 5) }
      _ = scene.wait(milliseconds: 1000)
    }
    // 40 s after the first, but not 30 s after the last one.
    #expect(scene.core.state == .gathering)
    for _ in 0..<20 {
      for node in 1...5 { _ = scene.beat(node) }
      _ = scene.wait(milliseconds: 1000)
    }
    #expect(scene.core.state == .gathering)
    for _ in 0..<15 where scene.core.state == .gathering {
      for node in 1...5 { _ = scene.beat(node) }
      _ = scene.wait(milliseconds: 1000)
    }
    #expect(scene.core.view?.workers.count == 2)
  }
}
