import Coordination
import Messages
import Network

extension SimulatedCluster {
  struct Options {
    var workers = 2
    var fcNodes = 2
    /// Parameter servers, the coordinator included.
    var shards = 1
    /// Whether each FC node's slice is kept by the next one too.
    var mirrorsFC = false
    /// Whether the FC nodes that are left share the layers when one is lost.
    var recutsOnLoss = false
    /// With fewer workers the run pauses.
    var minimumWorkers = 1
    var steps: UInt64 = 5
    var globalBatch = 7
    var evaluateEvery: UInt64 = 2
    var evaluationExamples: UInt64 = 9
    var maximumDelay = Self.usualDelay
    /// The longest that a message is under way where nothing special is asked for.
    static let usualDelay: Microseconds = 4000
    /// Every message is delivered a second time with this probability in 1/256.
    var duplicates: UInt32 = 0
    var preparation = Preparation()
    /// Steps between checkpoints; 0 makes none.
    var checkpointEvery: UInt64 = 0
    /// Whether every evaluation is taken for the best so far.
    var keepsBest = false
    var schedule = Schedule()
    /// What the machines of worker ranks have, cyclically, where the schedule follows holders.
    var heldGroups: [[Int]] = [[]]
    /// Steps in which a number is not finite, and what the cluster is to make of them.
    var poison: [UInt64: Poison] = [:]
    /// Whether a step is healthy the second time.
    var poisonIsTransient = false
    var onFault = RunPlan.FaultPolicy.stop
    /// (time, what), in any order.
    var faults: [(Microseconds, Fault)] = []
  }

  /// A run of `fcNodes` FC nodes: after a loss there may be fewer than at first.
  static func plan(_ options: Options, _ network: NetworkPlan, fcNodes: Int) -> RunPlan {
    let cut = DenseCut(network, nodes: fcNodes)
    let chunks = ChunkTable(stages: network.stages, maximumElements: 4)
    var timing = RunPlan.Timing()
    timing.progressTimeout = 5000
    var plan = RunPlan(
      globalBatch: options.globalBatch, workersWanted: options.workers, fcNodesWanted: fcNodes,
      chunks: chunks, featureSlices: cut.featureSlices,
      trainingSegments: cut.segmentCount(training: true),
      evaluationSegments: cut.segmentCount(training: false), length: .steps(options.steps),
      evaluation: .everySteps(options.evaluateEvery), timing: timing)
    plan.checkpointEvery = options.checkpointEvery
    plan.schedule = options.schedule
    plan.shards = ShardMap(chunks, count: options.shards)
    plan.onFault = options.onFault
    // The last one has no other to keep its slice too.
    plan.mirrorsFC = options.mirrorsFC && fcNodes > 1
    plan.recutsOnLoss = options.recutsOnLoss
    plan.minimumWorkers = options.minimumWorkers
    return plan
  }

  /// The longest that processes take to open data and plan memory after their welcome; 0 for none.
  struct Preparation {
    /// Of those that are welcomed before `firstBefore`.
    var first: Microseconds = 0
    var firstBefore: Microseconds = 100_000
    var later: Microseconds = 0
  }

  /// Where a number that is not finite comes up.
  enum Poison {
    /// In the gradient of whoever has the batch's first row.
    case gradient
    /// In the features of its first row.
    case features
    /// In the loss, at one fc node.
    case loss(rank: Int)
  }

  /// The steps with such numbers; the nodes of a cluster share it.
  final class PoisonBox {
    private var steps: [UInt64: Poison]
    private let isTransient: Bool

    init(_ steps: [UInt64: Poison], isTransient: Bool) {
      self.steps = steps
      self.isTransient = isTransient
    }

    /// What is wrong with a step; in passing, only once.
    func take(_ step: UInt64, _ isMeant: (Poison) -> Bool) -> Bool {
      guard let poison = steps[step], isMeant(poison) else { return false }
      if isTransient { steps[step] = nil }
      return true
    }
  }
}
