import Glibc
import Testing

/// Mixtures of faults drawn from seeds. `CROSSCUT_SIMULATION_SEEDS=5000` runs that many,
/// `CROSSCUT_SIMULATION_SEED=812` runs that one.
@Suite(.timeLimit(.minutes(10)))
struct RandomScenarioTests {
  /// Environment variable as a number.
  private static func number(_ name: String) -> UInt64? {
    getenv(name).flatMap { UInt64(String(cString: $0)) }
  }

  /// Seeds that once found something, by what they found.
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
    RandomScenario(seed: seed).check()
  }

  @Test(arguments: [false, true])
  func `any mixture of faults ends in the right parameters or names the guilty`(sharded: Bool) {
    if let seed = Self.number("CROSSCUT_SIMULATION_SEED") {
      RandomScenario(seed: seed, sharded: sharded).check()
      return
    }
    let count = Self.number("CROSSCUT_SIMULATION_SEEDS") ?? 300
    var faults = 0
    var culprits = 0
    for seed in 0..<count {
      let cluster = RandomScenario(seed: seed, sharded: sharded).check()
      faults += cluster.faultsHappened
      culprits += cluster.culpritsFound
    }
    // A test of faults that do not happen proves nothing.
    #expect(faults > 2 * Int(count))
    #expect(culprits > Int(count) / 10)
  }
}
