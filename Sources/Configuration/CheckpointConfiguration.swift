/// What a run can be resumed from: when it is written to the run directory, and how many are kept.
package struct CheckpointConfiguration: Hashable, Sendable, ConfigurationSection {
  /// Optimizer updates between checkpoints; 0: none. Smaller: less is computed again after a loss.
  /// Larger: less is written.
  package var everySteps = 500
  /// Minutes between checkpoints, beside those by steps; 0: none by time.
  package var everyMinutes = 0.0
  /// Complete checkpoints that are kept. Two: if the newest turns out to be damaged, there is one.
  package var keep = 2
  /// Whether a checkpoint is made of every evaluation with a lower error than all before it; the last
  /// such one is kept whatever its age.
  package var keepBest = true

  package init() {}

  static var title: String { "checkpoint" }
  static var fields: [Field<CheckpointConfiguration>] {
    [
      Field(
        "everySteps", \.everySteps, .between(0, 1 << 40), "Steps between checkpoints; 0: none."),
      Field(
        "everyMinutes", \.everyMinutes, .between(0, 1_000_000),
        "Minutes between checkpoints, beside everySteps; 0: none by time."),
      Field("keep", \.keep, .between(1, 1 << 20), "Newest checkpoints that are kept."),
      Field(
        "keepBest", \.keepBest,
        "Make one of every evaluation with a lower error, and keep the last such one."),
    ]
  }
}
