/// How gradients become updates: SGD with momentum and weight decay.
package struct OptimizerConfiguration: Hashable, Sendable, ConfigurationSection {
  /// Where the learning rate stands in the update; they differ when it changes.
  package enum Rule: String, Hashable, Sendable, CaseIterable, ConfigurationWord {
    /// `v = momentum v - decay lr w - lr g; w = w + v` (2012 paper, section 5; Caffe).
    case paper2012 = "paper-2012"
    /// `v = momentum v + g + decay w; w = w - lr v` (torch.optim.SGD).
    case pytorch
  }

  /// What becomes of a step whose loss or gradient is infinite or not a number. It is never applied.
  package enum OnNaN: String, Hashable, Sendable, CaseIterable, ConfigurationWord {
    /// The run ends, with the parameters before the step.
    case stop
    /// The step's examples are passed over.
    case skip
    /// Back to the last checkpoint; the run ends if the step is no better the second time.
    case rollback
  }

  package var learningRate = 0.01
  package var momentum = 0.9
  package var weightDecay = 0.0005
  package var rule = Rule.paper2012
  /// Biases learn at this multiple of the rate (Caffe and the paper's code: 2).
  package var biasLearningRateFactor = 1.0
  /// Whether weight decay holds for biases too (Caffe and the paper's code: no).
  package var biasWeightDecay = true
  /// Elements of a gradient are cut to +- this; `nil`: they are not.
  package var clipValue: Double?
  package var onNaN = OnNaN.stop
  package var decay = DecayConfiguration()
  package var scaling = ScalingConfiguration()

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
      Field(
        "clipValue", \.clipValue, .ifGiven(.above(0)),
        "Cuts every element of a gradient to +- this; null: none."),
      Field(
        "onNaN", \.onNaN,
        "A step with an infinite or undefined number: \"stop\" the run, \"skip\" the step, or"
          + " \"rollback\" to the last checkpoint."),
      Field("decay", \.decay, "How the learning rate falls."),
      Field("scaling", \.scaling, "How the learning rate follows the batch."),
    ]
  }
}
