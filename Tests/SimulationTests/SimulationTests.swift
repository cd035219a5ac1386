import Messages
import Testing

@testable import Coordination

/// Whole clusters against the run in one loop: every step applied exactly once, the same
/// parameters, the end reached.
@Suite(.timeLimit(.minutes(2)))
struct SimulationTests {
  /// Runs a cluster and checks it against the reference. The seed is in every message.
  private func check(
    seed: UInt64, _ options: SimulatedCluster.Options, expectFaults: Int = 0
  ) {
    var cluster = SimulatedCluster(seed: seed, options)
    cluster.run()
    let story = cluster.notes.suffix(12).joined(separator: "\n")
    guard cluster.exit?.outcome == .finished else {
      Issue.record("seed \(seed): ended with \(String(describing: cluster.exit))\n\(story)")
      return
    }
    let program = cluster.plan.program(cluster.facts)
    #expect(cluster.commits.map(\.turn) == Array(0..<program.count), "seed \(seed)\n\(story)")
    for record in cluster.commits {
      let covered = record.shares.values.flatMap { Array($0) }.sorted()
      #expect(covered == Array(0..<options.globalBatch), "seed \(seed), turn \(record.turn)")
    }
    let reference = cluster.model.reference(cluster.plan, program)
    #expect(cluster.nodes[.server]?.chunks == reference.chunks, "seed \(seed)\n\(story)")
    #expect(
      cluster.nodes[.server]?.stored == reference.weights.map { Optional($0) },
      "seed \(seed)\n\(story)")
    #expect(
      cluster.evaluations.allSatisfy { $0.tally.examples == Int(options.evaluationExamples) },
      "seed \(seed): \(cluster.evaluations)")
    #expect(cluster.evaluations.count == Int(program.evaluations), "seed \(seed)")
    #expect(cluster.faultsHappened >= expectFaults, "seed \(seed): a fault did not happen")
  }

  @Test(arguments: [(1, 1), (2, 1), (1, 3), (4, 2), (7, 4), (9, 3)])
  func `any shape gives the parameters of the run in one loop`(workers: Int, fcNodes: Int) {
    for seed in 0..<12 {
      var options = SimulatedCluster.Options()
      options.workers = workers
      options.fcNodes = fcNodes
      check(seed: UInt64(seed), options)
    }
  }

  @Test func `wild delays change nothing`() {
    for seed in 0..<40 {
      var options = SimulatedCluster.Options()
      options.workers = 3
      options.maximumDelay = 200_000
      check(seed: UInt64(seed), options)
    }
  }

  @Test func `every message may come twice`() {
    for seed in 0..<40 {
      var options = SimulatedCluster.Options()
      options.workers = 3
      options.duplicates = 128
      check(seed: UInt64(seed), options)
    }
  }

  @Test func `a worker that dies at any moment costs nothing but time`() {
    for seed in 0..<150 {
      var options = SimulatedCluster.Options()
      options.workers = 3
      options.steps = 6
      let time = Microseconds(30_000 + seed * 1700)
      options.faults = [
        (time, .killWorker(rank: seed % 3, connectionCloses: seed % 2 == 0))
      ]
      check(seed: UInt64(seed), options)
    }
  }

  @Test func `two deaths and a replacement are survived`() {
    for seed in 0..<80 {
      var options = SimulatedCluster.Options()
      options.workers = 3
      options.steps = 12
      let time = Microseconds(40_000 + seed * 900)
      options.faults = [
        (time, .killWorker(rank: 0, connectionCloses: true)),
        (time + 7000, .killWorker(rank: 2, connectionCloses: true)),
        (time + 20_000, .addWorker),
      ]
      check(seed: UInt64(seed), options, expectFaults: 3)
    }
  }

  @Test func `the only worker dies, the run pauses and goes on with another`() {
    for seed in 0..<40 {
      var options = SimulatedCluster.Options()
      options.workers = 1
      options.steps = 8
      options.faults = [
        (60_000 + Microseconds(seed) * 500, .killWorker(rank: 0, connectionCloses: true)),
        (900_000, .addWorker),
      ]
      check(seed: UInt64(seed), options, expectFaults: 2)
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
        (time, .addWorker), (time + 30_000, .leaveWorker(rank: 0)),
        (time + 60_000, .addWorker), (time + 90_000, .leaveWorker(rank: 1)),
      ]
      check(seed: UInt64(seed), options, expectFaults: 2)
    }
  }

  @Test func `a worker that hangs with a healthy socket is named and sent away`() {
    for seed in 0..<20 {
      var options = SimulatedCluster.Options()
      options.workers = 3
      options.steps = 10
      options.faults = [(70_000 + Microseconds(seed) * 1000, .hangWorker(rank: 1))]
      var cluster = SimulatedCluster(seed: UInt64(seed), options)
      cluster.run()
      #expect(cluster.exit?.outcome == .finished, "seed \(seed): \(cluster.notes.suffix(5))")
      guard cluster.faultsHappened == 1,
        cluster.notes.contains(where: { $0.contains("no progress") })
      else { continue }
      #expect(
        cluster.notes.contains { $0.contains("worker 1 is gone: no progress") },
        "seed \(seed): \(cluster.notes)")
    }
  }
}
