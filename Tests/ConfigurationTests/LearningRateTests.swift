import Testing

@testable import Configuration

@Suite struct LearningRateTests {
  static func rates(
    _ decay: String, at steps: [Int], of total: Int, epochs: Int = 10
  ) throws -> [Double] {
    let configuration = try RunConfigurationTests.parse(
      "{ epochs: \(epochs), optimizer: { learningRate: 0.01, decay: \(decay) } }")
    return steps.map { configuration.learningRate(step: $0, of: total) }
  }

  static func isClose(_ first: [Double], _ second: [Double]) -> Bool {
    first.count == second.count && zip(first, second).allSatisfy { abs($0 - $1) <= 1e-12 * abs($1) }
  }

  @Test func `a constant rate stays`() throws {
    #expect(try Self.rates("{}", at: [0, 50, 99, 1000], of: 100) == [0.01, 0.01, 0.01, 0.01])
  }

  @Test func `milestones at fractions fall on their step exactly`() throws {
    let rates = try Self.rates(
      "{ kind: 'steps', atFractions: [0.3, 0.6], factor: 0.5 }", at: [29, 30, 59, 60, 99], of: 100)
    #expect(Self.isClose(rates, [0.01, 0.005, 0.005, 0.0025, 0.0025]))
  }

  @Test func `milestones in epochs fall at the first step of that epoch`() throws {
    // 10 epochs of 7 steps
    let rates = try Self.rates(
      "{ kind: 'steps', atEpochs: [3, 9] }", at: [20, 21, 62, 63], of: 70)
    #expect(Self.isClose(rates, [0.01, 0.001, 0.001, 0.0001]))
  }

  /// "One weird trick", section 5: multiplied by 250^(-1/3) at 25, 50 and 75 %; the author's file
  /// lists the four rates.
  @Test func `the 2014 rule ends at a 250th of the rate`() throws {
    let rates = try Self.rates(
      "{ kind: 'owt' }", at: [0, 24, 25, 49, 50, 74, 75, 99], of: 100)
    let cube = 6.299605249474366
    let expected = [0.01, 0.01 / cube, 0.01 / cube / cube, 0.00004].flatMap { [$0, $0] }
    #expect(Self.isClose(rates, expected))
    #expect(abs(rates[2] - 1.587e-3) < 1e-6)
    #expect(abs(rates[4] - 2.52e-4) < 1e-6)
  }

  @Test func `a cosine starts at the rate, halves it midway and ends near zero`() throws {
    let rates = try Self.rates("{ kind: 'cosine' }", at: [0, 50, 100], of: 100)
    #expect(rates[0] == 0.01)
    #expect(abs(rates[1] - 0.005) < 1e-12)
    #expect(abs(rates[2]) < 1e-12)
  }

  @Test(arguments: ["constant", "cosine", "owt"])
  func `warm-up rises linearly to the full rate, whatever the rule`(kind: String) throws {
    let rates = try Self.rates(
      "{ kind: '\(kind)', warmupSteps: 4 }", at: [0, 1, 2, 3, 4], of: 100)
    #expect(Self.isClose(rates, [0.0025, 0.005, 0.0075, 0.01, 0.01]))
  }

  @Test func `a run shorter than its warm-up never divides by nothing`() throws {
    for step in 0...3 {
      let rate = try Self.rates("{ kind: 'cosine', warmupSteps: 100 }", at: [step], of: 2)[0]
      #expect(rate.isFinite && rate > 0)
    }
  }

  @Test func `warm-up may be given in epochs`() throws {
    // 10 epochs of 10 steps; half an epoch is five steps.
    let rates = try Self.rates("{ warmupEpochs: 0.5 }", at: [0, 3, 4, 5], of: 100)
    #expect(Self.isClose(rates, [0.002, 0.008, 0.01, 0.01]))
  }

  /// 2014, section 5, and the author's files: four times the batch, four times the rate, for the
  /// layers whose batch it is.
  @Test(arguments: [("none", 0.01), ("linear", 0.04), ("sqrt", 0.02)])
  func `the rate follows the batch of the layers' updates`(rule: String, rate: Double) throws {
    let configuration = try RunConfigurationTests.parse(
      "{ globalBatch: 512, optimizer: { learningRate: 0.01, scaling: { rule: '\(rule)' } } }")
    for dense in [false, true] {
      #expect(configuration.updateBatch(dense: dense) == 512)
      #expect(abs(configuration.learningRate(step: 0, of: 10, dense: dense) - rate) < 1e-15)
    }
  }

  /// The author's four-GPU files: conv 0.04, fc 0.01.
  @Test func `fc weights that step on sub-batches have the rate of a sub-batch`() throws {
    let configuration = try RunConfigurationTests.parse(
      """
      {
        globalBatch: 512, optimizer: { learningRate: 0.01, scaling: { rule: 'linear' } },
        schedule: { kind: 'round-robin', subBatches: 4, fcUpdate: 'per-sub-batch' },
      }
      """)
    #expect(configuration.updateBatch(dense: false) == 512)
    #expect(configuration.updateBatch(dense: true) == 128)
    #expect(abs(configuration.learningRate(step: 0, of: 10, dense: false) - 0.04) < 1e-15)
    #expect(abs(configuration.learningRate(step: 0, of: 10, dense: true) - 0.01) < 1e-15)
  }

  @Test func `a plateau multiplies once for every reduction that validation asked for`() throws {
    let configuration = try RunConfigurationTests.parse(
      "{ optimizer: { learningRate: 0.01, decay: { kind: 'plateau', warmupSteps: 2 } } }")
    let rates = (0...3).map { configuration.learningRate(step: 5, of: 10, reductions: $0) }
    #expect(Self.isClose(rates, [0.01, 0.001, 0.0001, 0.00001]))
    #expect(configuration.learningRate(step: 0, of: 10) == 0.005)
    let steps = try RunConfigurationTests.parse("{}")
    #expect(steps.learningRate(step: 5, of: 10, reductions: 3) == 0.01)
  }
}
