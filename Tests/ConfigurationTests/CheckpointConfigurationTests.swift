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
