import Glibc
import Messages
import Testing

/// Mixtures of faults drawn from seeds. `CROSSCUT_SIMULATION_SEEDS=5000` runs that many,
/// `CROSSCUT_SIMULATION_SEED=812` runs that one; `make simulate` runs tens of thousands. Each seed is
/// run with every kind of cluster.
@Suite(.timeLimit(.minutes(60)))
struct RandomScenarioTests {
  /// Environment variable as a number.
  private static func number(_ name: String) -> UInt64? {
    getenv(name).flatMap { UInt64(String(cString: $0)) }
  }

  /// Seeds that once found something, by what they found, as they were drawn at that time.
  @Test(arguments: [
    // The second worker that hung in one turn was not noticed.
    UInt64(20), 41, 52,
    // An fc node that hung kept the run from ending.
    0, 82, 129,
    // A worker sent away, or the last one to leave, was not told.
    5, 31, 34, 99, 134,
    // A member that left before its first view waited for ever.
    150,
    // Part of an fc node's slices was lost, and the model was written with a hole in it.
    358, 389, 1411, 2830,
  ])
  func `a seed that found a fault finds none any more`(seed: UInt64) {
    RandomScenario(seed: seed, isHarsh: false, age: .stepsOnce).check()
  }

  /// The same of harsh ones.
  @Test(arguments: [
    // What an fc node was given back was lost and never given again.
    (UInt64(18), RandomScenario.Age.stepsOnce),
    // A skipped step counted as measured; and no fault but the verdict's: a run that is stopped on its
    // way back has no model.
    (695, .stepsOnce), (946, .stepsOnce),
    // No fault but the audit's: a checkpoint may outlive a going back.
    (10282, .stepsOnce), (10892, .stepsOnce),
    // An fc node took the last piece of what it was given back for the whole.
    (2601, .preparesAtOnce), (5357, .preparesAtOnce), (9575, .preparesAtOnce),
    // No fault but the verdict's: a server that died on its way back resumed at a later checkpoint,
    // one was told to stop before anybody had come back.
    (15258, .preparesAtOnce), (18440, .preparesAtOnce),
  ])
  func `a harsh seed that found a fault finds none any more`(
    seed: UInt64, age: RandomScenario.Age
  ) {
    RandomScenario(seed: seed, age: age).check()
  }

  /// What the runs of some seeds saw.
  private struct Tally {
    var happened = SimulatedCluster.Happened()
    var culprits = 0
    var finished = 0

    mutating func add(_ cluster: SimulatedCluster) {
      happened += cluster.happened
      culprits += cluster.culpritsFound
      finished += cluster.exit?.outcome == .finished ? 1 : 0
    }

    static func + (left: Tally, right: Tally) -> Tally {
      Tally(
        happened: left.happened + right.happened, culprits: left.culprits + right.culprits,
        finished: left.finished + right.finished)
    }
  }

  @Test(arguments: RandomScenario.Variant.allCases)
  func `any mixture of faults ends in the right parameters or names the guilty`(
    variant: RandomScenario.Variant
  ) async {
    if let seed = Self.number("CROSSCUT_SIMULATION_SEED") {
      RandomScenario(seed: seed, variant).check()
      return
    }
    let count = Self.number("CROSSCUT_SIMULATION_SEEDS") ?? 300
    let first = Self.number("CROSSCUT_SIMULATION_FIRST") ?? 0
    let parts = UInt64(max(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 1))
    let tally = await withTaskGroup(of: Tally.self) { group in
      for part in 0..<parts {
        group.addTask {
          var tally = Tally()
          for seed in stride(from: first + part, to: first + count, by: Int(parts)) {
            tally.add(RandomScenario(seed: seed, variant).check())
          }
          return tally
        }
      }
      return await group.reduce(Tally(), +)
    }
    let happened = tally.happened
    if count > 1000 {
      print(
        "\(count) runs from seed \(first): \(happened.faults) faults, \(happened.serverDeaths) of them "
          + "deaths of the server; \(tally.finished) runs finished, \(tally.culprits) stalls with a "
          + "culprit, who was named")
    }
    // A test of faults that do not happen proves nothing.
    #expect(happened.faults > 2 * Int(count), "\(happened)")
    #expect(tally.culprits > Int(count) / 20)
    #expect(happened.serverDeaths > Int(count) / 10)
    #expect(happened.rateChanges > Int(count) / 10, "\(happened)")
    #expect(happened.rateReductions > Int(count) / 2, "\(happened)")
    #expect(happened.recuts > (variant == .recut ? Int(count) / 5 : -1), "\(happened)")
    for (kind, times) in [
      ("kills", happened.kills), ("hangs", happened.hangs), ("break-downs", happened.breakDowns),
      ("leaves", happened.leaves), ("joins", happened.joins), ("full disks", happened.fullDisks),
      ("freezes", happened.freezes), ("cuts", happened.cuts),
      ("shards' faults", variant == .sharded ? happened.shardFaults : Int(count)),
      ("rescues", variant == .mirrored ? happened.rescues : Int(count)),
      ("poisoned steps", happened.poisoned),
    ] { #expect(times > Int(count) / 30, "\(kind): \(happened)") }
    for (kind, messages) in [
      ("lost", happened.lostMessages), ("doubled", happened.doubledMessages),
      ("delayed", happened.delayedMessages),
    ] { #expect(messages > Int(count), "\(kind): \(happened)") }
    #expect(tally.finished > Int(count) / 2)
  }
}
