import Testing

@testable import Configuration

@Suite struct ValidationProgressTests {
  /// Reductions after each of the errors.
  static func reductions(_ errors: [Double], _ decay: DecayConfiguration) -> [Int] {
    var progress = ValidationProgress()
    return errors.map { error in
      progress.observe(error: error, decay)
      return progress.reductions
    }
  }

  static func plateau(patience: Int, reductions: Int = 3) -> DecayConfiguration {
    var decay = DecayConfiguration()
    decay.kind = .plateau
    decay.patience = patience
    decay.reductions = reductions
    return decay
  }

  /// 2012, section 5: divided by 10 when the error stopped improving with the current rate.
  @Test func `the rate falls when the error has not for so many evaluations`() {
    let errors = [0.9, 0.8, 0.8, 0.81, 0.7, 0.7, 0.75, 0.7, 0.71]
    #expect(
      Self.reductions(errors, Self.plateau(patience: 2)) == [0, 0, 0, 1, 1, 1, 2, 2, 3])
    #expect(
      Self.reductions(errors, Self.plateau(patience: 1)) == [0, 0, 1, 2, 2, 3, 3, 3, 3])
    #expect(
      Self.reductions(errors, Self.plateau(patience: 2, reductions: 1))
        == [0, 0, 0, 1, 1, 1, 1, 1, 1])
  }

  @Test func `a gain within the threshold is none`() {
    var decay = Self.plateau(patience: 1)
    decay.threshold = 0.01
    #expect(Self.reductions([0.5, 0.496, 0.494], decay) == [0, 1, 1])
  }

  @Test func `a diverged network is no better, and better than none at first`() {
    #expect(Self.reductions([.nan, .nan, 1, 0.5], Self.plateau(patience: 2)) == [0, 1, 1, 1])
  }

  @Test func `other decays ask for nothing`() {
    var decay = Self.plateau(patience: 1)
    decay.kind = .steps
    #expect(Self.reductions([0.5, 0.5, 0.5], decay) == [0, 0, 0])
  }

  @Test func `what was remembered goes on`() {
    let decay = Self.plateau(patience: 2)
    var whole = ValidationProgress()
    for error in [0.5, 0.4, 0.4, 0.4, 0.4] { whole.observe(error: error, decay) }
    var resumed = ValidationProgress()
    for error in [0.5, 0.4, 0.4] { resumed.observe(error: error, decay) }
    resumed = ValidationProgress(
      best: resumed.best, sinceBest: resumed.sinceBest, sinceChange: resumed.sinceChange,
      reductions: resumed.reductions)
    for error in [0.4, 0.4] { resumed.observe(error: error, decay) }
    #expect(resumed == whole)
    #expect(whole.reductions == 1 && whole.sinceBest == 3 && whole.sinceChange == 1)
  }

  @Test func `a run ends after so many evaluations without a lower error, if it shall`() {
    var evaluation = EvaluationConfiguration()
    var progress = ValidationProgress()
    for error in [0.5, 0.4, 0.45, 0.4] { progress.observe(error: error, DecayConfiguration()) }
    #expect(progress.reasonToStop(evaluation) == nil)
    evaluation.earlyStop = 3
    #expect(progress.reasonToStop(evaluation) == nil)
    evaluation.earlyStop = 2
    #expect(
      progress.reasonToStop(evaluation)
        == "early stop: no lower validation error in 2 evaluations")
  }

  @Test(arguments: [
    ("optimizer.decay.kind=plateau", "optimizer.decay.kind: \"plateau\""),
    ("evaluation.earlyStop=3", "evaluation.earlyStop:"),
  ])
  func `what goes by the error needs evaluations`(option: String, place: String) {
    let line = ConfigurationErrorTests.line(
      "{ evaluation: { everyEpochs: 0 } }", [ConfigurationOverride(option)])
    #expect(
      line == "--set \(option): \(place) needs evaluations during the run: evaluation.everyEpochs"
        + " or everySteps")
  }
}
