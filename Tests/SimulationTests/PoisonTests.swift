import Messages
import Testing

@testable import Coordination

/// Steps with numbers that are not finite, in whole clusters: never applied by anybody.
@Suite(.timeLimit(.minutes(30)))
struct PoisonTests {
  private func run(
    seed: Int, _ policy: RunPlan.FaultPolicy, transient: Bool = false,
    _ change: (inout SimulatedCluster.Options) -> Void = { _ in }
  ) -> SimulatedCluster {
    var options = SimulatedCluster.Options()
    options.workers = 1 + seed % 3
    options.fcNodes = 1 + seed / 3 % 3
    options.steps = 9
    options.checkpointEvery = UInt64(seed % 4)
    options.duplicates = seed % 2 == 0 ? 64 : 0
    options.schedule = Schedule(subBatches: 1 + seed % 2)
    options.onFault = policy
    options.poisonIsTransient = transient
    let kind: [SimulatedCluster.Poison] = [
      .gradient, .features, .loss(rank: seed % options.fcNodes),
    ]
    options.poison = [UInt64(seed % 8): kind[seed % 3]]
    change(&options)
    var cluster = SimulatedCluster(seed: UInt64(seed), options)
    cluster.run()
    cluster.expectSound("seed \(seed)")
    return cluster
  }

  @Test func `the run stops with the parameters before the step, and names the node`() {
    for seed in 0..<60 {
      let cluster = run(seed: seed, .stop)
      #expect(cluster.exit?.outcome == .failed, "seed \(seed)")
      #expect(cluster.server.saved?.steps == UInt64(seed % 8), "seed \(seed)")
      let names = ["worker 0: its gradient", "worker 0: its features", "fc"]
      #expect(cluster.exit?.reason.contains(names[seed % 3]) == true, "\(cluster.exit as Any)")
    }
  }

  @Test func `a skipped step is skipped everywhere, and only that one`() {
    for seed in 0..<60 {
      let cluster = run(seed: seed, .skip)
      #expect(cluster.exit?.outcome == .finished, "seed \(seed)")
      #expect(cluster.audit.skipped == [UInt64(seed % 8)], "seed \(seed)")
    }
  }

  @Test func `steps in a row, the last one too, may be skipped`() {
    for seed in 0..<30 {
      let cluster = run(seed: seed, .skip) { options in
        for step in [3, 4, 8] { options.poison[UInt64(step)] = .gradient }
      }
      #expect(cluster.exit?.outcome == .finished, "seed \(seed)")
      #expect(cluster.audit.skipped.isSuperset(of: [3, 4, 8]), "seed \(seed)")
    }
  }

  @Test func `what happens once is undone by going back to the checkpoint`() {
    for seed in 0..<60 {
      let cluster = run(seed: seed, .rollBack, transient: true)
      #expect(cluster.exit?.outcome == .finished, "seed \(seed)")
      #expect(cluster.goingsBack == 1, "seed \(seed)")
      #expect(cluster.audit.skipped == [], "seed \(seed)")
    }
  }

  @Test func `what happens again ends the run`() {
    for seed in 0..<30 {
      let cluster = run(seed: seed, .rollBack)
      #expect(cluster.exit?.outcome == .failed, "seed \(seed)")
      #expect(cluster.exit?.reason.contains("not even the second time") == true, "seed \(seed)")
      #expect(cluster.server.saved?.steps == UInt64(seed % 8), "seed \(seed)")
    }
  }

  @Test func `deaths and lost messages around it change nothing`() {
    var skipped = 0
    var happened = SimulatedCluster.Happened()
    for seed in 0..<150 {
      let cluster = run(seed: seed, seed % 2 == 0 ? .skip : .rollBack, transient: seed % 2 == 1) {
        options in
        let time = Microseconds(40_000 + seed * 1500)
        options.workers = 3
        options.faults = [
          (time, .kill(NodeName(.worker, seed % 3), connectionCloses: true)),
          (time + 30_000, .blackout(20_000, probability: 100)),
          (time + 60_000, .kill(NodeName(.fc, 0), connectionCloses: true)),
          (9_000_000, .add(.fc)), (9_000_000, .add(.worker)),
        ]
      }
      #expect(cluster.exit?.outcome == .finished, "seed \(seed): \(cluster.exit as Any)")
      skipped += cluster.audit.skipped.count
      happened += cluster.happened
    }
    #expect(happened.kills > 150 && happened.lostMessages > 100, "\(happened)")
    #expect(skipped > 30)
  }
}
