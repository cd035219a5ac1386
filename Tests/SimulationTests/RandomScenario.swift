import Messages
import Tensors

@testable import Coordination

/// A cluster and its misfortunes, all drawn from a seed.
struct RandomScenario: CustomStringConvertible {
  let seed: UInt64
  var options: SimulatedCluster.Options
  /// What is wrong on purpose.
  var bug: PlantedBug?

  /// What a cluster has that another does not; the rest of a seed's scenario is the same.
  enum Variant: CaseIterable {
    case plain
    /// Several parameter servers, which meet with faults too.
    case sharded
    /// FC nodes whose slices are mirrored, and which die more often.
    case mirrored
    /// FC nodes that are left share the layers when one is lost; some runs pause below more workers
    /// than one, have several parameter servers, or mirrors.
    case recut
  }

  /// What a seed draws has become more with time: one that is kept for what it once found goes
  /// without the largest of what came later.
  enum Age: Comparable {
    /// Weights step once a step, processes are ready when they are welcomed.
    case stepsOnce
    /// FC weights may step once a sub-batch.
    case preparesAtOnce
    /// Processes take time before they are ready, servers are stopped, operators set the rate.
    case present
  }

  /// - Parameter isHarsh: besides what happens to members: deaths and stops of the server, links that
  ///   are cut one way or flap, a full disk, numbers that are not finite.
  init(
    seed: UInt64, _ variant: Variant = .plain, isHarsh: Bool = true, age: Age = .present
  ) {
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
      options.faults.append((Self.late, .add(.worker)))
      options.faults.append((Self.late, .add(.fc)))
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
    if variant == .sharded {
      options.shards = 2 + below(3)
      for _ in 0..<below(3) {
        let shard = NodeName(.shard, 1 + below(options.shards - 1))
        let faults: [SimulatedCluster.Fault] = [
          .kill(shard, connectionCloses: true), .kill(shard, connectionCloses: false),
          .hang(shard), .breakDown(shard), .leave(shard), .add(.shard),
        ]
        options.faults.insert((Microseconds(below(span)), faults[below(6)]), at: 0)
      }
      for _ in 0..<4 { options.faults.append((Self.late, .add(.shard))) }
    }
    options.schedule.updatesEachSubBatch = age > .stepsOnce && oneIn(2)
    self.options = options
    if variant == .mirrored { mirror(span: span) }
    if variant == .recut { recut(span: span) }
    if isHarsh { addHardship(span: span) }
    guard age == .present else { return }
    if isHarsh {
      addFreezes(span: span)
      addCutShards(span: span)
    }
    addRates(span: span)
    addPreparation()
  }

  /// In one run of two the operator sets the learning rate, once or a few times.
  private mutating func addRates(span: Int) {
    var random = RandomSequence(RandomStream(seed: seed, purpose: .simulation, first: 8))
    func below(_ bound: Int) -> Int { Int(RandomStream.below(UInt32(bound), random.nextWord())) }
    guard below(2) == 0 else { return }
    for _ in 0...below(3) {
      options.faults.append((Microseconds(below(span)), .setRate(Double(2 + below(6)) / 4)))
    }
  }

  /// Some clusters are ready at once, in others it takes longer than heartbeats, or than a silence
  /// that is taken for death; what happens to them may begin while they prepare, or after.
  private mutating func addPreparation() {
    var random = RandomSequence(RandomStream(seed: seed, purpose: .simulation, first: 4))
    func below(_ bound: Int) -> Int { Int(RandomStream.below(UInt32(bound), random.nextWord())) }
    let first: [Microseconds] = [0, 0, 60_000, 700_000, 4_000_000]
    let later: [Microseconds] = [0, 60_000, 700_000, 4_000_000, 8_000_000]
    options.preparation.first = first[below(5)]
    options.preparation.later = later[below(5)]
    let start = options.preparation.first
    guard start > 0, below(4) > 0 else { return }
    for index in options.faults.indices where options.faults[index].0 < Self.late {
      options.faults[index].0 += start
    }
  }

  /// When somebody always comes in the end.
  private static let late: Microseconds = 20_000_000

  private mutating func mirror(span: Int) {
    var random = RandomSequence(RandomStream(seed: seed, purpose: .simulation, first: 3))
    func below(_ bound: Int) -> Int { Int(RandomStream.below(UInt32(bound), random.nextWord())) }
    options.mirrorsFC = true
    options.fcNodes = 2 + below(2)
    options.checkpointEvery = UInt64(1 + below(6))
    for _ in 0..<below(4) {
      let fc = NodeName(.fc, below(options.fcNodes))
      let fault: SimulatedCluster.Fault =
        below(4) == 0 ? .leave(fc) : .kill(fc, connectionCloses: below(3) > 0)
      options.faults.append((Microseconds(below(span)), fault))
      options.faults.append((Microseconds(below(2 * span)), .add(.fc)))
    }
  }

  private mutating func recut(span: Int) {
    var random = RandomSequence(RandomStream(seed: seed, purpose: .simulation, first: 7))
    func below(_ bound: Int) -> Int { Int(RandomStream.below(UInt32(bound), random.nextWord())) }
    options.recutsOnLoss = true
    options.fcNodes = 2 + below(2)
    options.mirrorsFC = below(2) == 0
    options.minimumWorkers = 1 + below(options.workers)
    options.checkpointEvery = UInt64(1 + below(6))
    options.shards = 1 + below(3)
    func anybody(_ role: Role) -> NodeName {
      role == .shard && options.shards > 1
        ? NodeName(.shard, 1 + below(options.shards - 1)) : NodeName(.fc, below(options.fcNodes))
    }
    for _ in 0..<below(4) {
      let time = Microseconds(below(span))
      let node = anybody(below(3) == 0 ? .shard : .fc)
      let fault: SimulatedCluster.Fault =
        below(4) == 0 ? .leave(node) : .kill(node, connectionCloses: below(3) > 0)
      options.faults.append((time, fault))
      // A host that vanishes may have had another.
      if below(2) == 0 {
        let other = anybody(below(2) == 0 ? .shard : .fc)
        let later = Microseconds([0, 5000, 60_000][below(3)])
        options.faults.append((time + later, .kill(other, connectionCloses: below(3) > 0)))
      }
      options.faults.append((Microseconds(below(2 * span)), .add(.shard)))
    }
    for _ in 0..<4 { options.faults.append((Self.late, .add(.shard))) }
  }

  /// Drawn from a sequence of its own: a seed that is known for something stays what it was.
  private mutating func addHardship(span: Int) {
    var random = RandomSequence(RandomStream(seed: seed, purpose: .simulation, first: 2))
    func below(_ bound: Int) -> Int { Int(RandomStream.below(UInt32(bound), random.nextWord())) }
    func oneIn(_ bound: Int) -> Bool { below(bound) == 0 }
    func anybody() -> NodeName {
      oneIn(2) ? NodeName(.worker, below(options.workers)) : NodeName(.fc, below(options.fcNodes))
    }
    func add(_ time: Int, _ fault: SimulatedCluster.Fault) {
      options.faults.append((Microseconds(time), fault))
    }
    if oneIn(3) {
      for _ in 0...below(2) {
        add(below(span), .killServer(down: Microseconds(50_000 + below(3_000_000))))
      }
    }
    for _ in 0..<below(3) {
      let node = anybody()
      let others = [NodeName(.server, 0), NodeName(.server, 0), anybody()]
      let other = others[below(3)]
      let isOutward = oneIn(2)
      let cut = SimulatedCluster.Cut(
        from: isOutward ? node : other, to: isOutward ? other : node, loses: oneIn(2))
      // Once for a while, or again and again.
      let times = oneIn(4) ? 5 : 1
      let length = times == 1 ? 50_000 + below(6_000_000) : 200_000
      let start = below(span)
      for time in 0..<times { add(start + time * 2 * length, .cut(cut, Microseconds(length))) }
    }
    if oneIn(5) { add(below(span), .diskFull(writes: 1 + below(3))) }
    options.keepsBest = oneIn(2)
    guard oneIn(3) else { return }
    options.onFault = [.stop, .skip, .skip, .rollBack][below(4)]
    options.poisonIsTransient = oneIn(2)
    for _ in 0...below(2) {
      options.poison[UInt64(below(Int(options.steps)))] =
        [.gradient, .features, .loss(rank: below(options.fcNodes))][below(3)]
    }
  }

  /// Every third server is stopped for a while, once or twice.
  private mutating func addFreezes(span: Int) {
    var random = RandomSequence(RandomStream(seed: seed, purpose: .simulation, first: 6))
    func below(_ bound: Int) -> Int { Int(RandomStream.below(UInt32(bound), random.nextWord())) }
    guard below(3) == 0 else { return }
    for _ in 0...below(2) {
      let length = [600_000, 4_000_000, 12_000_000][below(3)]
      options.faults.append((Microseconds(below(span)), .freezeServer(Microseconds(length))))
    }
  }

  /// Of two runs with several parameter servers, links between these are cut one way in one.
  private mutating func addCutShards(span: Int) {
    var random = RandomSequence(RandomStream(seed: seed, purpose: .simulation, first: 9))
    func below(_ bound: Int) -> Int { Int(RandomStream.below(UInt32(bound), random.nextWord())) }
    guard options.shards > 1, below(2) == 0 else { return }
    for _ in 0...below(2) {
      let shard = NodeName(.shard, 1 + below(options.shards - 1))
      let isOutward = below(3) == 0
      let server = NodeName(.server, 0)
      let cut = SimulatedCluster.Cut(
        from: isOutward ? shard : server, to: isOutward ? server : shard, loses: below(3) == 0)
      let length = Microseconds(50_000 + below(4_000_000))
      options.faults.append((Microseconds(below(span)), .cut(cut, length)))
    }
  }

  var description: String {
    """
    CROSSCUT_SIMULATION_SEED=\(seed): \(options.workers) workers, \(options.fcNodes) fc nodes\(options.mirrorsFC ? ", mirrored" : "")\(options.recutsOnLoss ? ", cut anew" : ""), at least \(options.minimumWorkers) workers, \(options.shards) shards, \
    \(options.steps) steps of \(options.globalBatch), evaluation of \
    \(options.evaluationExamples) every \(options.evaluateEvery), delays up to \
    \(options.maximumDelay) us, \(options.schedule.subBatches) sub-batches \
    (\(options.schedule.dealsWhole ? "whole" : "parts")\
    \(options.schedule.updatesEachSubBatch ? ", each with a step" : "")), \
    machines with \(options.heldGroups), \(options.duplicates)/256 twice, prepared within \
    \(options.preparation.first) us at first and \(options.preparation.later) us later; \
    checkpoints every \(options.checkpointEvery)\(options.keepsBest ? ", of the best" : ""); \
    \(options.poison.isEmpty ? "" : "\(options.poison) \(options.onFault), ")\
    \(options.faults.filter { $0.0 < Self.late }.map { "\($0.0): \($0.1)" }
      .joined(separator: ", "))
    """
  }

  /// The cluster at its end.
  func run() -> SimulatedCluster {
    var cluster = SimulatedCluster(seed: seed, options, bug: bug)
    cluster.run()
    return cluster
  }

  /// Runs the scenario and checks all that must hold.
  @discardableResult
  func check() -> SimulatedCluster {
    let cluster = run()
    if !cluster.problems.isEmpty { cluster.expectSound("\(shrunk())") }
    return cluster
  }

  /// The scenario with as little in it as still fails: fault by fault, then what is special about
  /// the cluster, is left out as long as anything is wrong without it.
  ///
  /// Taking something away changes what comes after it in time, so this may end with another
  /// problem than it began with; that is as welcome.
  func shrunk() -> RandomScenario {
    var smallest = self
    func attempt(_ change: (inout SimulatedCluster.Options) -> Void) -> Bool {
      var candidate = smallest
      change(&candidate.options)
      guard !candidate.run().problems.isEmpty else { return false }
      smallest = candidate
      return true
    }
    var index = 0
    while index < smallest.options.faults.count {
      if !attempt({ $0.faults.remove(at: index) }) { index += 1 }
    }
    for step in smallest.options.poison.keys.sorted() { _ = attempt { $0.poison[step] = nil } }
    _ = attempt { $0.duplicates = 0 }
    _ = attempt { $0.schedule = Schedule() }
    _ = attempt { $0.keepsBest = false }
    _ = attempt { $0.preparation.first = 0 }
    _ = attempt { $0.preparation.later = 0 }
    _ = attempt { $0.mirrorsFC = false }
    _ = attempt { $0.minimumWorkers = 1 }
    _ = attempt { $0.evaluationExamples = 0 }
    while smallest.options.workers > smallest.options.minimumWorkers,
      attempt({ $0.workers -= 1 })
    {}
    while smallest.options.steps > 1, attempt({ $0.steps -= 1 }) {}
    return smallest
  }
}
