import Messages
import Tensors

@testable import Coordination

/// A cluster and its misfortunes, all drawn from a seed.
struct RandomScenario: CustomStringConvertible {
  let seed: UInt64
  let options: SimulatedCluster.Options

  /// - Parameter sharded: with several parameter servers, which meet with faults too; the rest of
  ///   the scenario is the same.
  init(seed: UInt64, sharded: Bool = false) {
    self.seed = seed
    var random = RandomSequence(RandomStream(seed: seed, purpose: .simulation, first: 1))
    func below(_ bound: Int) -> Int { Int(RandomStream.below(UInt32(bound), random.nextWord())) }
    func oneIn(_ bound: Int) -> Bool { below(bound) == 0 }

    var options = SimulatedCluster.Options()
    options.workers = 1 + below(4)
    options.fcNodes = 1 + below(3)
    options.steps = UInt64(1 + below(12))
    options.globalBatch = 1 + below(9)
    options.evaluateEvery = UInt64(below(5))
    options.evaluationExamples = UInt64(below(20))
    options.maximumDelay = [500, 4000, 4000, 30_000, 150_000][below(5)]
    options.duplicates = oneIn(3) ? UInt32(below(200)) : 0
    // Long enough for the whole run, so that faults meet every phase of it.
    let span = 60_000 + Int(options.steps) * (15_000 + Int(options.maximumDelay) * 6)
    for _ in 0..<below(6) {
      let time = Microseconds(below(span))
      let worker = NodeName(.worker, below(options.workers + 1))
      let fc = NodeName(.fc, below(options.fcNodes))
      let fault: SimulatedCluster.Fault =
        switch below(20) {
        case 0..<5: .kill(worker, connectionCloses: !oneIn(3))
        case 5..<8: .add(.worker)
        case 8..<11: .leave(worker)
        case 11..<13: .hang(worker)
        case 13: .breakDown(worker)
        case 14: .kill(fc, connectionCloses: !oneIn(3))
        case 15: [.hang(fc), .breakDown(fc), .leave(fc)][below(3)]
        case 16: .stop
        case 17, 18:
          .blackout(Microseconds(1000 + below(300_000)), probability: UInt32(20 + below(236)))
        default: .add(.fc)
        }
      options.faults.append((time, fault))
    }
    // Somebody always comes in the end, and somebody loses patience with what hangs for good.
    for _ in 0..<4 {
      options.faults.append((20_000_000, .add(.worker)))
      options.faults.append((20_000_000, .add(.fc)))
    }
    options.faults.append((300_000_000, .giveUp))
    options.checkpointEvery = UInt64(below(4))
    options.schedule = Schedule(subBatches: 1 + below(4) * below(2), dealsWhole: oneIn(2))
    // Drawn last, so that a seed's other misfortunes are what they were. One machine in two has
    // all groups: the others may go.
    if options.schedule.dealsWhole, oneIn(2) {
      options.schedule.followsHolders = true
      let groups = Array(0..<min(options.schedule.subBatches, options.globalBatch))
      options.heldGroups = (0..<4).map { rank in
        rank % 2 == 0 ? groups : groups.filter { _ in oneIn(2) }
      }
    }
    if sharded {
      options.shards = 2 + below(3)
      for _ in 0..<below(3) {
        let shard = NodeName(.shard, 1 + below(options.shards - 1))
        let faults: [SimulatedCluster.Fault] = [
          .kill(shard, connectionCloses: true), .kill(shard, connectionCloses: false),
          .hang(shard), .breakDown(shard), .leave(shard), .add(.shard),
        ]
        options.faults.insert((Microseconds(below(span)), faults[below(6)]), at: 0)
      }
      for _ in 0..<4 { options.faults.append((20_000_000, .add(.shard))) }
    }
    self.options = options
  }

  var description: String {
    """
    CROSSCUT_SIMULATION_SEED=\(seed): \(options.workers) workers, \(options.fcNodes) fc nodes, \(options.shards) shards, \
    \(options.steps) steps of \(options.globalBatch), evaluation of \
    \(options.evaluationExamples) every \(options.evaluateEvery), delays up to \
    \(options.maximumDelay) us, \(options.schedule.subBatches) sub-batches \
    (\(options.schedule.dealsWhole ? "whole" : "parts")), machines with \(options.heldGroups), \(options.duplicates)/256 twice; \
    \(options.faults.dropLast(9).map { "\($0.0): \($0.1)" }.joined(separator: ", "))
    """
  }

  /// Runs the scenario and checks all that must hold.
  @discardableResult
  func check() -> SimulatedCluster {
    var cluster = SimulatedCluster(seed: seed, options)
    cluster.run()
    cluster.expectSound(description)
    return cluster
  }
}
