import Testing

@testable import Configuration

@Suite struct CheckpointConfigurationTests {
  private static func parse(_ text: String) throws -> CheckpointConfiguration {
    try RunConfiguration.parse(text: text, source: "run.json5").checkpoint
  }

  @Test func `without a word a run is checkpointed every 500 steps and two are kept`() throws {
    let checkpoint = try Self.parse("{}")
    #expect(checkpoint.everySteps == 500)
    #expect(checkpoint.keep == 2)
  }

  @Test(arguments: [
    (500, 0, false), (500, 499, false), (500, 500, true), (500, 501, false), (500, 1000, true),
    (1, 1, true), (0, 0, false), (0, 500, false),
  ])
  func `a checkpoint is due at whole multiples, and never at step 0`(
    everySteps: Int, completed: UInt64, due: Bool
  ) throws {
    let checkpoint = try Self.parse("{ checkpoint: { everySteps: \(everySteps) } }")
    #expect(checkpoint.isDue(afterSteps: completed) == due)
  }

  @Test(arguments: [
    ("{ checkpoint: { keep: 0 } }", "checkpoint.keep", "must be between 1 and 1048576, not 0"),
    (
      "{ checkpoint: { everySteps: -1 } }", "checkpoint.everySteps",
      "must be between 0 and 1099511627776, not -1"
    ),
    (
      "{ checkpoint: { everyStep: 5 } }", "checkpoint.everyStep",
      "unknown key; did you mean \"everySteps\"?"
    ),
  ])
  func `what cannot be is refused by its key`(
    text: String, keyPath: String, message: String
  ) throws {
    #expect(throws: ConfigurationError(source: "run.json5", keyPath: keyPath, message)) {
      try Self.parse(text)
    }
  }
}
