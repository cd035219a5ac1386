/// What a run can be resumed from: when it is written to the run directory, and how many are kept.
package struct CheckpointConfiguration: Hashable, Sendable, ConfigurationSection {
  /// Optimizer updates between checkpoints; 0: none. Smaller: less is computed again after a loss.
  /// Larger: less is written.
  package var everySteps = 500
  /// Complete checkpoints that are kept. Two: if the newest turns out to be damaged, there is one.
  package var keep = 2

  package init() {}

  static var title: String { "checkpoint" }
  static var fields: [Field<CheckpointConfiguration>] {
    [
      Field(
        "everySteps", \.everySteps, .between(0, 1 << 40), "Steps between checkpoints; 0: none."),
      Field("keep", \.keep, .between(1, 1 << 20), "Newest checkpoints that are kept."),
    ]
  }
}
