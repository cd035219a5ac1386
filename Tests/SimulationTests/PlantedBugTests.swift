import Testing

/// The simulator bites: what is wrong on purpose is found, and what finds it can be made small.
@Suite(.timeLimit(.minutes(30)))
struct PlantedBugTests {
  /// Runs that a bug may take to be found.
  private static let patience: UInt64 = 400

  private func found(_ bug: PlantedBug) -> RandomScenario? {
    for seed in 0..<Self.patience {
      var scenario = RandomScenario(seed: seed, bug.variant)
      scenario.bug = bug
      if !scenario.run().problems.isEmpty { return scenario }
    }
    return nil
  }

  @Test(arguments: PlantedBug.allCases)
  func `a planted bug is found`(bug: PlantedBug) throws {
    let scenario = try #require(found(bug), "\(bug) is not found in \(Self.patience) runs")
    // The same seed without the bug is sound: it is the bug that was found.
    var healthy = scenario
    healthy.bug = nil
    #expect(healthy.run().problems == [], "\(bug): \(scenario)")
  }

  @Test func `a scenario that fails is made small`() throws {
    let scenario = try #require(found(.forgetsToCommit))
    var crowded = scenario
    crowded.options.faults += scenario.options.faults.map { ($0.0 + 1_000_000, $0.1) }
    try #require(!crowded.run().problems.isEmpty)
    let shrunk = crowded.shrunk()
    #expect(!shrunk.run().problems.isEmpty)
    // One change of the view is enough; the bug needs no more than that.
    #expect(shrunk.options.faults.count <= 2, "\(shrunk)")
    #expect(shrunk.options.steps <= scenario.options.steps)
  }
}
