import Glibc

/// How the learning rate falls over a run.
package struct DecayConfiguration: Hashable, Sendable, ConfigurationSection {
  package enum Kind: String, Hashable, Sendable, CaseIterable, ConfigurationWord {
    case constant
    /// Times `factor` at each milestone.
    case steps
    /// Times `factor` when the validation error stops falling (2012 paper, section 5).
    case plateau
    /// Times 250^(-1/3) at 25, 50 and 75 % (2014 paper, section 5).
    case owt
    /// Half a cosine from the learning rate down to 0.
    case cosine
  }

  package var kind = Kind.constant
  /// Steps of linear rise at the start, whatever the kind.
  package var warmupSteps = 0
  /// The same in epochs; the longer of the two holds. Where `steps` gives the run's length, epochs
  /// are parts of it as they are of `epochs`: a shortened run has the whole course of the rate.
  package var warmupEpochs = 0.0
  /// Milestones of `steps` as parts of the run.
  package var atFractions: [Double] = []
  /// Milestones of `steps` in epochs, as `warmupEpochs`.
  package var atEpochs: [Double] = []
  /// What `steps` and `plateau` multiply by.
  package var factor = 0.1
  /// Evaluations without a lower error after which `plateau` multiplies.
  package var patience = 3
  /// An error must fall by more than this part of the lowest to count as lower.
  package var threshold = 0.001
  /// How often `plateau` multiplies at most; the 2012 paper: three times.
  package var reductions = 3

  package init() {}

  static var title: String { "decay" }
  static var fields: [Field<DecayConfiguration>] {
    [
      Field(
        "kind", \.kind,
        "\"constant\", \"steps\", \"plateau\" (the 2012 paper's), \"owt\" (the 2014 paper's) or"
          + " \"cosine\"."),
      Field(
        "warmupSteps", \.warmupSteps, .between(0, 1 << 40), "Steps of linear rise at the start."),
      Field(
        "warmupEpochs", \.warmupEpochs, .between(0, 1_048_576),
        "The same in epochs, fewer than epochs; the longer of the two holds. In a run of steps, the"
          + " same part of these as of epochs."),
      Field(
        "atFractions", \.atFractions,
        .each(
          Rule {
            $0 > 0 && $0 < 1 ? nil : "must be parts of the run in 0...1, not \($0.json.lineText)"
          }),
        "(steps) Milestones as parts of the run."),
      Field(
        "atEpochs", \.atEpochs, .each(.above(0)),
        "(steps) Milestones in epochs; in a run of steps, at the same parts of these as of epochs."),
      Field("factor", \.factor, .above(0), "(steps, plateau) What the rate is multiplied by."),
      Field(
        "patience", \.patience, .between(1, 1 << 20),
        "(plateau) Evaluations without a lower error before that."),
      Field(
        "threshold", \.threshold, .from(0, below: 1),
        "(plateau, earlyStop) Part by which an error must fall to be lower."),
      Field("reductions", \.reductions, .between(0, 1000), "(plateau) How often at most."),
    ]
  }

  /// Steps of the warm-up, which may be more than the run has.
  package func warmup(of totalSteps: Int, epochs: Int) -> Double {
    let total = Double(max(totalSteps, 1))
    return max(Double(warmupSteps), (warmupEpochs * total / Double(epochs)).rounded())
  }

  /// The first steps after the milestones of `steps`, ascending, of those that a run has.
  package func milestones(of totalSteps: Int, epochs: Int) -> [Int] {
    let total = Double(totalSteps)
    let places = atFractions.map { $0 * total } + atEpochs.map { $0 * total / Double(epochs) }
    return places.map { $0.rounded(.up) }.filter { $0 < total }.map { Int($0) }.sorted()
  }

  /// What the learning rate is multiplied by at `step` of `totalSteps`.
  ///
  /// While `step` is within the warm-up it rises linearly, `(step + 1) / warm-up`, times what the
  /// kind says.
  ///
  /// - Parameters:
  ///   - step: from 0.
  ///   - epochs: of the run; milestones in epochs fall at the same fraction of its steps.
  ///   - reductions: how often validation has asked for a smaller rate so far.
  package func multiplier(
    step: Int, of totalSteps: Int, epochs: Int, reductions: Int = 0
  ) -> Double {
    let total = Double(max(totalSteps, 1))
    let warmup = warmup(of: totalSteps, epochs: epochs)
    let rise = Double(step) < warmup ? Double(step + 1) / warmup : 1
    let progress = min(Double(step) / total, 1)
    switch kind {
    case .constant:
      return rise
    case .steps:
      // Compared in steps: step / total against epoch / epochs would round twice.
      let passed =
        atFractions.count { Double(step) >= $0 * total }
        + atEpochs.count { Double(step) * Double(epochs) >= $0 * total }
      return rise * pow(factor, Double(passed))
    case .plateau:
      return rise * pow(factor, Double(reductions))
    case .owt:
      let passed = [0.25, 0.5, 0.75].count { progress >= $0 }
      return rise * pow(250, -Double(passed) / 3)
    case .cosine:
      let span = max(total - warmup, 1)
      let part = min(max((Double(step) - warmup) / span, 0), 1)
      return rise * 0.5 * (1 + cos(Double.pi * part))
    }
  }
}

/// How the learning rate follows the batch (2014 paper, section 5; Goyal et al. 2017).
///
/// Each group of layers goes by the batch of *its* updates: conv layers step once on the global
/// batch, fc layers on what one of their updates sees.
package struct ScalingConfiguration: Hashable, Sendable, ConfigurationSection {
  package enum Rule: String, Hashable, Sendable, CaseIterable, ConfigurationWord {
    /// The rate is what the configuration says, whatever the batch.
    case none
    /// Times batch / reference: what the 2014 paper found to work.
    case linear
    /// Times the root of that: keeps the variance of an update, by the 2014 paper's theory.
    case sqrt
  }

  package var rule = Rule.none
  /// The batch for which `learningRate` is meant.
  package var referenceBatch = 128

  package init() {}

  static var title: String { "scaling" }
  static var fields: [Field<ScalingConfiguration>] {
    [
      Field(
        "rule", \.rule,
        "Times batch / referenceBatch (\"linear\"), its root (\"sqrt\") or \"none\"."),
      Field(
        "referenceBatch", \.referenceBatch, .between(1, 1 << 20),
        "The batch that learningRate is meant for."),
    ]
  }

  /// What the learning rate of layers that step on `batch` examples is multiplied by.
  package func multiplier(batch: Int) -> Double {
    let ratio = Double(batch) / Double(referenceBatch)
    switch rule {
    case .none: return 1
    case .linear: return ratio
    case .sqrt: return ratio.squareRoot()
    }
  }
}
