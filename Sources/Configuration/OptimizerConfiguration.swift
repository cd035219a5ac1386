import Glibc

/// How gradients become updates: SGD with momentum and weight decay.
package struct OptimizerConfiguration: Hashable, Sendable, ConfigurationSection {
  /// Where the learning rate stands in the update; they differ when it changes.
  package enum Rule: String, Hashable, Sendable, CaseIterable, ConfigurationWord {
    /// `v = momentum v - decay lr w - lr g; w = w + v` (2012 paper, section 5; Caffe).
    case paper2012 = "paper-2012"
    /// `v = momentum v + g + decay w; w = w - lr v` (torch.optim.SGD).
    case pytorch
  }

  package var learningRate = 0.01
  package var momentum = 0.9
  package var weightDecay = 0.0005
  package var rule = Rule.paper2012
  /// Biases learn at this multiple of the rate (Caffe and the paper's code: 2).
  package var biasLearningRateFactor = 1.0
  /// Whether weight decay holds for biases too (Caffe and the paper's code: no).
  package var biasWeightDecay = true
  package var decay = DecayConfiguration()

  package init() {}

  static var title: String { "the optimizer" }
  static var fields: [Field<OptimizerConfiguration>] {
    [
      Field("learningRate", \.learningRate, .above(0), "Of the weights, before any decay."),
      Field("momentum", \.momentum, .from(0, below: 1), "Part of the last update that is kept."),
      Field("weightDecay", \.weightDecay, .atLeast(0), "L2 penalty of the weights."),
      Field("rule", \.rule, "\"paper-2012\" (rate inside the velocity) or \"pytorch\" (outside)."),
      Field(
        "biasLearningRateFactor", \.biasLearningRateFactor, .atLeast(0),
        "Biases learn at this multiple of the rate."),
      Field("biasWeightDecay", \.biasWeightDecay, "Whether biases decay too."),
      Field("decay", \.decay, "How the learning rate falls."),
    ]
  }

  /// The weights' learning rate at `step` of `totalSteps`.
  ///
  /// While `step < warmupSteps` it rises linearly, `learningRate (step + 1) / warmupSteps`, times
  /// what the rule says.
  ///
  /// - Parameters:
  ///   - step: from 0.
  ///   - epochs: of the run; milestones in epochs fall at the same fraction of its steps.
  package func learningRate(step: Int, of totalSteps: Int, epochs: Int) -> Double {
    let warmup = decay.warmupSteps
    let rise = step < warmup ? Double(step + 1) / Double(warmup) : 1
    let total = Double(max(totalSteps, 1))
    let progress = min(Double(step) / total, 1)
    switch decay.kind {
    case .constant:
      return learningRate * rise
    case .steps:
      // Compared in steps: step / total against epoch / epochs would round twice.
      let passed =
        decay.atFractions.count { Double(step) >= $0 * total }
        + decay.atEpochs.count { Double(step) * Double(epochs) >= $0 * total }
      return learningRate * rise * pow(decay.factor, Double(passed))
    case .owt:
      let passed = [0.25, 0.5, 0.75].count { progress >= $0 }
      return learningRate * rise * pow(250, -Double(passed) / 3)
    case .cosine:
      let span = max(total - Double(warmup), 1)
      let part = min(max(Double(step - warmup) / span, 0), 1)
      return learningRate * rise * 0.5 * (1 + cos(Double.pi * part))
    }
  }
}

/// How the learning rate falls over a run.
package struct DecayConfiguration: Hashable, Sendable, ConfigurationSection {
  package enum Kind: String, Hashable, Sendable, CaseIterable, ConfigurationWord {
    case constant
    /// Times `factor` at each milestone.
    case steps
    /// Times 250^(-1/3) at 25, 50 and 75 % (2014 paper, section 5).
    case owt
    /// Half a cosine from the learning rate down to 0.
    case cosine
  }

  package var kind = Kind.constant
  /// Steps of linear rise at the start, whatever the kind.
  package var warmupSteps = 0
  /// Milestones of `steps` as parts of the run.
  package var atFractions: [Double] = []
  /// Milestones of `steps` in epochs.
  package var atEpochs: [Double] = []
  /// What `steps` multiplies by at each milestone.
  package var factor = 0.1

  package init() {}

  static var title: String { "decay" }
  static var fields: [Field<DecayConfiguration>] {
    [
      Field("kind", \.kind, "\"constant\", \"steps\", \"owt\" (the 2014 paper's) or \"cosine\"."),
      Field(
        "warmupSteps", \.warmupSteps, .between(0, 1 << 40), "Steps of linear rise at the start."),
      Field(
        "atFractions", \.atFractions,
        .each(
          Rule {
            $0 > 0 && $0 < 1 ? nil : "must be parts of the run in 0...1, not \($0.json.lineText)"
          }),
        "(steps) Milestones as parts of the run."),
      Field("atEpochs", \.atEpochs, .each(.above(0)), "(steps) Milestones in epochs."),
      Field("factor", \.factor, .above(0), "(steps) What each milestone multiplies by."),
    ]
  }
}
