import Messages
import Testing

@testable import Coordination

/// Whole clusters against the run in one loop: every step applied exactly once, the same
/// parameters, the end reached.
@Suite(.timeLimit(.minutes(30)))
struct SimulationTests {
  /// Runs a cluster and checks what must hold whatever happens. The seed is in every message.
  @discardableResult
  private func run(seed: Int, _ options: SimulatedCluster.Options) -> SimulatedCluster {
    var cluster = SimulatedCluster(seed: UInt64(seed), options)
    cluster.run()
    cluster.expectSound("seed \(seed)")
    return cluster
  }

  /// Runs a cluster that must finish, with the parameters of the run in one loop.
  ///
  /// - Parameter happened: whether what the test is about has happened.
  @discardableResult
  private func check(
    seed: Int, _ options: SimulatedCluster.Options,
    happened: (SimulatedCluster.Happened) -> Bool = { _ in true }
  ) -> SimulatedCluster {
    let cluster = run(seed: seed, options)
    #expect(cluster.exit?.outcome == .finished, "seed \(seed)")
    #expect(happened(cluster.happened), "seed \(seed): only \(cluster.happened)")
    return cluster
  }

  @Test(arguments: [(1, 1), (2, 1), (1, 3), (4, 2), (7, 4), (9, 3)])
  func `any shape gives the parameters of the run in one loop`(workers: Int, fcNodes: Int) {
    for seed in 0..<12 {
      var options = SimulatedCluster.Options()
      options.workers = workers
      options.fcNodes = fcNodes
      check(seed: seed, options)
    }
  }

  @Test func `wild delays change nothing`() {
    for seed in 0..<40 {
      var options = SimulatedCluster.Options()
      options.workers = 3
      options.maximumDelay = 200_000
      check(seed: seed, options) { $0.delayedMessages > 100 }
    }
  }

  @Test func `every message may come twice`() {
    for seed in 0..<40 {
      var options = SimulatedCluster.Options()
      options.workers = 3
      options.duplicates = 128
      check(seed: seed, options) { $0.doubledMessages > 100 }
    }
  }

  @Test func `a worker that dies at any moment costs nothing but time`() {
    var happened = SimulatedCluster.Happened()
    for seed in 0..<150 {
      var options = SimulatedCluster.Options()
      options.workers = 3
      options.steps = 6
      let time = Microseconds(30_000 + seed * 1700)
      options.faults = [
        (time, .kill(NodeName(.worker, seed % 3), connectionCloses: seed % 2 == 0))
      ]
      happened += check(seed: seed, options).happened
    }
    #expect(happened.kills > 100, "\(happened)")
  }

  @Test func `a server that is stopped for a while blames nobody for it`() {
    var happened = SimulatedCluster.Happened()
    for seed in 0..<100 {
      var options = SimulatedCluster.Options()
      options.workers = 3
      options.steps = 6
      options.faults = [(Microseconds(20_000 + seed * 2000), .freezeServer(10_000_000))]
      let cluster = check(seed: seed, options)
      happened += cluster.happened
      #expect(cluster.goingsBack == 0, "seed \(seed)")
      #expect(!cluster.notes.contains { $0.contains("is gone") }, "seed \(seed): \(cluster.notes)")
    }
    #expect(happened.freezes > 90, "\(happened)")
  }

  @Test func `a connection that is reset is a death to the server, and its node joins again`() {
    for seed in 0..<60 {
      var options = SimulatedCluster.Options()
      options.workers = 3
      options.steps = 30
      let victim = NodeName(seed % 3 == 0 ? .fc : .worker, seed % 2)
      options.faults = [(Microseconds(60_000 + seed * 1700), .reset(victim))]
      let cluster = check(seed: seed, options) { $0.resets == 1 && $0.kills == 0 }
      #expect(
        cluster.notes.contains { $0.contains("\(victim) is gone: its connection closed") },
        "seed \(seed): \(cluster.notes)")
      #expect(
        cluster.notes.contains { $0.contains("\(victim) joins again") },
        "seed \(seed): \(cluster.notes)")
    }
  }

  @Test(arguments: [false, true])
  func `fc weights that step once a sub-batch do so exactly once, whatever dies when`(
    dealsWhole: Bool
  ) {
    var happened = SimulatedCluster.Happened()
    for seed in 0..<150 {
      var options = SimulatedCluster.Options()
      options.workers = 3
      options.fcNodes = 1 + seed % 3
      options.steps = 6
      options.schedule = Schedule(
        subBatches: 2 + seed % 4, dealsWhole: dealsWhole, updatesEachSubBatch: true)
      let time = Microseconds(30_000 + seed * 2100)
      options.faults = [
        (time, .kill(NodeName(.worker, seed % 3), connectionCloses: seed % 2 == 0)),
        (time + 15_000, .add(.worker)),
      ]
      happened += check(seed: seed, options).happened
    }
    #expect(happened.kills > 50, "\(happened)")
  }

  @Test
  func `an fc node that dies in the middle of a step's steps costs what came after the checkpoint`()
  {
    var happened = SimulatedCluster.Happened()
    for seed in 0..<100 {
      var options = SimulatedCluster.Options()
      options.workers = 2
      options.steps = 8
      options.checkpointEvery = 2
      options.schedule = Schedule(
        subBatches: 3, dealsWhole: seed % 2 == 0, updatesEachSubBatch: true)
      let time = Microseconds(60_000 + seed * 2500)
      options.faults = [
        (time, .kill(NodeName(.fc, seed % 2), connectionCloses: true)),
        (time + 30_000, .add(.fc)),
      ]
      happened += check(seed: seed, options).happened
    }
    #expect(happened.kills > 50, "\(happened)")
  }

  @Test(arguments: [false, true])
  func `an fc node that dies costs no step where slices are mirrored`(eachSubBatch: Bool) {
    var rescued = 0
    for seed in 0..<150 {
      var options = SimulatedCluster.Options()
      options.workers = 2
      options.fcNodes = 2 + seed % 2
      options.mirrorsFC = true
      options.steps = 8
      options.evaluateEvery = 0
      options.checkpointEvery = 100
      if eachSubBatch {
        options.schedule = Schedule(
          subBatches: 3, dealsWhole: seed % 4 < 2, updatesEachSubBatch: true)
      }
      let time = Microseconds(60_000 + seed * 2500)
      options.faults = [
        (time, .kill(NodeName(.fc, seed % options.fcNodes), connectionCloses: seed % 3 > 0)),
        // A silent one is not missed before three seconds are over.
        (time + (seed % 3 > 0 ? 30_000 : 5_000_000), .add(.fc)),
      ]
      let cluster = check(seed: seed, options)
      guard cluster.goingsBack > 0 else { continue }
      rescued += 1
      // An evaluation under way is begun anew.
      let turns = cluster.commits.filter(\.kind.isTraining).map(\.turn)
      #expect(turns == turns.sorted() && Set(turns).count == turns.count, "seed \(seed): \(turns)")
    }
    #expect(rescued > 75, "only \(rescued) runs have lost anything")
  }

  @Test func `two deaths and a replacement are survived`() {
    for seed in 0..<80 {
      var options = SimulatedCluster.Options()
      options.workers = 3
      options.steps = 12
      let time = Microseconds(40_000 + seed * 900)
      options.faults = [
        (time, .kill(NodeName(.worker, 0), connectionCloses: true)),
        (time + 7000, .kill(NodeName(.worker, 2), connectionCloses: true)),
        (time + 20_000, .add(.worker)),
      ]
      check(seed: seed, options) { $0.kills == 2 && $0.joins == 1 }
    }
  }

  @Test func `the only worker dies, the run pauses and goes on with another`() {
    for seed in 0..<40 {
      var options = SimulatedCluster.Options()
      options.workers = 1
      options.steps = 8
      options.faults = [
        (60_000 + Microseconds(seed) * 500, .kill(NodeName(.worker, 0), connectionCloses: true)),
        (900_000, .add(.worker)),
      ]
      check(seed: seed, options) { $0.kills == 1 && $0.joins == 1 }
    }
  }

  @Test func `workers join and leave without a trace in the result`() {
    for seed in 0..<60 {
      var options = SimulatedCluster.Options()
      options.workers = 2
      options.steps = 14
      options.duplicates = 32
      let time = Microseconds(40_000 + seed * 800)
      options.faults = [
        (time, .add(.worker)), (time + 30_000, .leave(NodeName(.worker, 0))),
        (time + 60_000, .add(.worker)), (time + 90_000, .leave(NodeName(.worker, 1))),
      ]
      check(seed: seed, options) { $0.joins == 2 && $0.leaves == 2 }
    }
  }

  @Test func `the tenth worker in one place works like the first`() {
    for seed in 0..<10 {
      var options = SimulatedCluster.Options()
      options.workers = 2
      options.steps = 60
      for replacement in 0..<10 {
        let time = Microseconds(100_000 + replacement * 250_000)
        options.faults.append((time, .kill(NodeName(.worker, 1), connectionCloses: true)))
        options.faults.append((time + 50_000, .add(.worker)))
      }
      let cluster = check(seed: seed, options) { $0.kills == 10 && $0.joins == 10 }
      #expect(
        cluster.notes.count { $0.contains("worker 1 joined") } >= 11,
        "seed \(seed): \(cluster.notes)")
    }
  }

  @Test func `a worker that hangs with a healthy socket is named and sent away`() {
    for seed in 0..<20 {
      var options = SimulatedCluster.Options()
      options.workers = 3
      options.steps = 10
      options.faults = [(40_000 + Microseconds(seed) * 1000, .hang(NodeName(.worker, 1)))]
      let cluster = check(seed: seed, options) { $0.hangs == 1 }
      #expect(
        cluster.notes.contains { $0.contains("worker 1 is gone: no progress") },
        "seed \(seed): \(cluster.notes)")
      #expect(cluster.culpritsFound > 0, "seed \(seed)")
    }
  }

  @Test func `workers that hang in one turn are sent away one after the other`() {
    for seed in 0..<10 {
      var options = SimulatedCluster.Options()
      options.workers = 3
      let time = 40_000 + Microseconds(seed) * 1000
      options.faults = [
        (time, .hang(NodeName(.worker, 0))), (time, .hang(NodeName(.worker, 2))),
      ]
      check(seed: seed, options) { $0.hangs == 2 }
    }
  }

  @Test func `the only worker hangs until another comes`() {
    for seed in 0..<10 {
      var options = SimulatedCluster.Options()
      options.workers = 1
      let time = 30_000 + Microseconds(seed) * 1000
      options.faults = [(time, .hang(NodeName(.worker, 0))), (30_000_000, .add(.worker))]
      check(seed: seed, options) { $0.hangs == 1 && $0.joins == 1 }
    }
  }

  @Test func `the only worker may leave`() {
    for seed in 0..<20 {
      var options = SimulatedCluster.Options()
      options.workers = 1
      let time = 40_000 + Microseconds(seed) * 1000
      options.faults = [(time, .leave(NodeName(.worker, 0))), (2_000_000, .add(.worker))]
      let cluster = check(seed: seed, options) { $0.leaves == 1 && $0.joins == 1 }
      // It was let go before anybody came for it.
      let left = cluster.notes.first { $0.contains("left the run") } ?? "never"
      let time2 = left.split(separator: " ").first.flatMap { Int($0) } ?? .max
      #expect(time2 < 2_000_000, "seed \(seed): \(left)")
    }
  }

  @Test func `an fc node that dies at any moment is replaced, and the run ends as it would have`() {
    var repeated = 0
    for seed in 0..<100 {
      var options = SimulatedCluster.Options()
      options.workers = 2
      options.fcNodes = 3
      options.steps = 8
      options.checkpointEvery = UInt64(seed % 4)
      let victim = NodeName(.fc, seed % 3)
      options.faults = [
        (Microseconds(35_000 + seed * 4000), .kill(victim, connectionCloses: seed % 2 == 0)),
        (8_000_000, .add(.fc)),
      ]
      let cluster = run(seed: seed, options)
      #expect(cluster.exit?.outcome == .finished, "seed \(seed)")
      #expect(cluster.server.saved != nil, "seed \(seed)")
      if cluster.commits.count > Int(cluster.plan.program(cluster.facts).count) { repeated += 1 }
    }
    #expect(repeated > 20, "only \(repeated) runs had to repeat anything")
  }

  @Test(arguments: [2, 3, 4])
  func `any number of parameter servers gives the parameters of the run in one loop`(shards: Int) {
    for seed in 0..<30 {
      var options = SimulatedCluster.Options()
      options.workers = 3
      options.shards = shards
      options.maximumDelay = [500, 4000, 200_000][seed % 3]
      options.duplicates = seed % 2 == 0 ? 128 : 0
      options.schedule = Schedule(subBatches: 1 + seed % 3, dealsWhole: seed % 5 == 0)
      check(seed: seed, options) { happened in
        (seed % 2 > 0 || happened.doubledMessages > 0)
          && (seed % 3 < 2 || happened.delayedMessages > 0)
      }
    }
  }

  @Test func `workers that die and come change nothing for several parameter servers`() {
    var happened = SimulatedCluster.Happened()
    for seed in 0..<150 {
      var options = SimulatedCluster.Options()
      options.workers = 3
      options.shards = 2 + seed % 3
      options.steps = 10
      options.evaluateEvery = UInt64(seed % 5)
      options.maximumDelay = [4000, 30_000][seed % 2]
      // Once all are there: with two of the three wanted the run would not begin.
      let time = Microseconds(150_000 + seed * 1700)
      options.faults = [
        (time, .kill(NodeName(.worker, seed % 3), connectionCloses: seed % 2 == 0)),
        (time + 30_000, .add(.worker)), (time + 60_000, .leave(NodeName(.worker, 1))),
        // Those that go before the run has begun are waited for.
        (20_000_000, .add(.worker)), (20_000_000, .add(.worker)),
      ]
      happened += check(seed: seed, options).happened
    }
    #expect(happened.kills > 50 && happened.leaves > 50, "\(happened)")
  }

  @Test
  func `a server shard that dies at any moment is replaced, and the run ends as it would have`() {
    var repeated = 0
    for seed in 0..<100 {
      var options = SimulatedCluster.Options()
      options.shards = 3
      options.steps = 8
      options.checkpointEvery = UInt64(seed % 4)
      let victim = NodeName(.shard, 1 + seed % 2)
      options.faults = [
        (Microseconds(35_000 + seed * 4000), .kill(victim, connectionCloses: seed % 2 == 0)),
        (8_000_000, .add(.shard)),
      ]
      let cluster = run(seed: seed, options)
      #expect(cluster.exit?.outcome == .finished, "seed \(seed)")
      #expect(cluster.server.saved != nil, "seed \(seed)")
      if cluster.commits.count > Int(cluster.plan.program(cluster.facts).count) { repeated += 1 }
    }
    #expect(repeated > 20, "only \(repeated) runs had to repeat anything")
  }

  @Test func `a server shard that leaves puts its share into a checkpoint first`() {
    var happened = SimulatedCluster.Happened()
    for seed in 0..<30 {
      var options = SimulatedCluster.Options()
      options.shards = 2
      options.steps = 8
      options.checkpointEvery = 100
      options.faults = [
        (Microseconds(45_000 + seed * 1500), .leave(NodeName(.shard, 1))),
        (2_000_000, .add(.shard)),
      ]
      let cluster = run(seed: seed, options)
      happened += cluster.happened
      #expect(cluster.exit?.outcome == .finished, "seed \(seed)")
      let most = Int(cluster.plan.program(cluster.facts).count) + 4
      #expect(cluster.commits.count <= most, "seed \(seed): \(cluster.commits.count)")
    }
    #expect(happened.leaves > 20, "\(happened)")
  }

  @Test func `a server shard that hangs is named, no worker is blamed for it`() {
    for seed in 0..<10 {
      var options = SimulatedCluster.Options()
      options.shards = 2
      options.faults = [
        (Microseconds(40_000 + seed * 1500), .hang(NodeName(.shard, 1))), (9_000_000, .stop),
      ]
      let cluster = run(seed: seed, options)
      #expect(cluster.exit?.outcome == .failed, "seed \(seed)")
      #expect(cluster.exit?.reason.contains("shard 1") == true, "seed \(seed)")
      #expect(cluster.culpritsFound > 0, "seed \(seed)")
    }
  }

  @Test func `an fc node that hangs is named, and does not keep the run from being stopped`() {
    for seed in 0..<10 {
      var options = SimulatedCluster.Options()
      options.faults = [
        (Microseconds(40_000 + seed * 1500), .hang(NodeName(.fc, seed % 2))),
        (9_000_000, .stop),
      ]
      let cluster = run(seed: seed, options)
      #expect(cluster.exit?.outcome == .failed, "seed \(seed)")
      #expect(cluster.exit?.reason.contains("fc \(seed % 2)") == true, "seed \(seed)")
      #expect(cluster.culpritsFound > 0, "seed \(seed)")
    }
  }

  @Test func `an fc node that leaves puts its slice into a checkpoint first`() {
    var happened = SimulatedCluster.Happened()
    for seed in 0..<30 {
      var options = SimulatedCluster.Options()
      options.steps = 8
      options.checkpointEvery = 100
      options.faults = [
        (Microseconds(45_000 + seed * 1500), .leave(NodeName(.fc, 0))), (2_000_000, .add(.fc)),
      ]
      let cluster = run(seed: seed, options)
      happened += cluster.happened
      #expect(cluster.exit?.outcome == .finished, "seed \(seed)")
      // What was committed while the slices were on their way is all that is repeated.
      let most = Int(cluster.plan.program(cluster.facts).count) + 4
      #expect(cluster.commits.count <= most, "seed \(seed): \(cluster.commits.count)")
    }
    #expect(happened.leaves > 20, "\(happened)")
  }

  @Test func `an fc node that leaves a run without checkpoints hands in its slice first`() {
    var happened = SimulatedCluster.Happened()
    for seed in 0..<30 {
      var options = SimulatedCluster.Options()
      options.steps = 8
      options.faults = [(Microseconds(45_000 + seed * 1500), .leave(NodeName(.fc, 0)))]
      let cluster = run(seed: seed, options)
      happened += cluster.happened
      #expect(cluster.exit?.outcome == .interrupted, "seed \(seed)")
      #expect(cluster.server.saved != nil, "seed \(seed)")
    }
    #expect(happened.leaves > 20, "\(happened)")
  }

  @Test func `a run stopped at any moment leaves the model of its last step`() {
    var lengths: Set<UInt64> = []
    for seed in 0..<100 {
      var options = SimulatedCluster.Options()
      options.workers = 3
      options.steps = 8
      options.duplicates = 32
      options.faults = [(Microseconds(45_000 + seed * 4000), .stop)]
      let cluster = run(seed: seed, options)
      #expect(cluster.exit?.outcome == .interrupted, "seed \(seed)")
      if let saved = cluster.server.saved { lengths.insert(saved.steps) }
    }
    #expect(lengths.count > 5, "stopped after \(lengths.sorted()) steps only")
  }

  @Test func `messages that are lost cost a turn, not the run`() {
    var happened = SimulatedCluster.Happened()
    for seed in 0..<40 {
      var options = SimulatedCluster.Options()
      options.workers = 3
      options.steps = 8
      options.faults = [
        (Microseconds(40_000 + seed * 2500), .blackout(20_000, probability: 128))
      ]
      happened += check(seed: seed, options).happened
    }
    #expect(happened.lostMessages > 100, "\(happened)")
  }
}
