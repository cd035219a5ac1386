import Configuration
import Testing

@testable import crosscut

@Suite struct ParsedArgumentsTests {
  static let command = Command(
    words: ["bake"], summary: "bake bread",
    positionals: [Positional(name: "FLOUR", help: "Which.", isRequired: true)],
    options: [
      .set, .workers, .verbose, .json,
      Option(
        name: "heat", value: .number("X", atLeast: 0), help: "How hot.", standard: "1"),
      Option(name: "steps", value: .integer("N", 1...Int.max), help: "How often."),
    ],
    run: { _ in 0 })

  static func parse(_ line: String) throws(UsageError) -> ParsedArguments {
    try ParsedArguments(line.split(separator: " ").map(String.init), of: command)
  }

  static func error(_ line: String) -> String {
    do throws(UsageError) {
      _ = try parse(line)
      return ""
    } catch {
      return error.description
    }
  }

  @Test(arguments: [
    "rye --workers 3 --json", "--workers=3 rye --json", "--json --workers 3 -- rye",
    "--workers 9 --workers 3 --json rye",
  ])
  func `options and arguments mix, and the last of an option holds`(line: String) throws {
    let parsed = try Self.parse(line)
    #expect(parsed.positionals == ["rye"])
    #expect(parsed.positional(0) == "rye")
    #expect(parsed.positional(1) == nil)
    #expect(parsed.integer("workers") == 3)
    #expect(parsed.has("json"))
    #expect(!parsed.has("verbose"))
    #expect(parsed.string("heat") == nil)
  }

  @Test func `two dashes end the options`() throws {
    #expect(try Self.parse("-- --json").positionals == ["--json"])
    #expect(try Self.parse("-").positionals == ["-"])
  }

  @Test func `a repeated option keeps all its values in order`() throws {
    let parsed = try Self.parse("rye --set a=1 --set=b=2=3 -v")
    #expect(parsed.strings("set") == ["a=1", "b=2=3"])
    #expect(parsed.has("verbose"))
  }

  @Test func `a value may be negative or empty where text is wanted`() throws {
    #expect(try Self.parse("rye --set -1").strings("set") == ["-1"])
    #expect(try Self.parse("rye --set=").strings("set") == [""])
    #expect(try Self.parse("rye --heat 1e-4").number("heat") == 1e-4)
  }

  @Test func `who asks for help needs nothing else`() throws {
    #expect(try Self.parse("--help").has("help"))
    #expect(try Self.parse("-h a b c").has("help"))
  }

  @Test(arguments: [
    ("", "crosscut bake: missing FLOUR"),
    ("rye wheat", "crosscut bake: unexpected argument \"wheat\""),
    ("rye --wokers 3", "crosscut bake: unknown option --wokers; did you mean --workers?"),
    ("rye --Workers=3", "crosscut bake: unknown option --Workers; did you mean --workers?"),
    ("rye --zebra", "crosscut bake: unknown option --zebra"),
    ("rye -workers", "crosscut bake: unknown option -workers; did you mean --workers?"),
    ("rye -x", "crosscut bake: unknown option -x"),
    ("rye --json=yes", "crosscut bake: --json takes no value"),
    ("rye --workers", "crosscut bake: --workers needs a value: --workers K"),
    ("rye --workers --json", "crosscut bake: --workers needs a value: --workers K"),
    (
      "rye --workers three",
      "crosscut bake: --workers expects a whole number from 1 to 4096, not \"three\""
    ),
    (
      "rye --workers 0", "crosscut bake: --workers expects a whole number from 1 to 4096, not \"0\""
    ),
    (
      "rye --steps 0", "crosscut bake: --steps expects a whole number of at least 1, not \"0\""
    ),
    ("rye --heat nan", "crosscut bake: --heat expects a number of at least 0, not \"nan\""),
    ("rye --heat -1", "crosscut bake: --heat expects a number of at least 0, not \"-1\""),
  ])
  func `a wrong command line is one line`(line: String, expected: String) {
    #expect(Self.error(line) == expected)
  }

  @Test func `a required option is missed by name`() {
    #expect(
      throws: UsageError(
        command: "keygen", message: "missing --out DIR (or CROSSCUT_OUT)")
    ) {
      try ParsedArguments([], of: KeygenCommand.command)
    }
  }

  @Test func `options that stand for a key win over --set`() throws {
    let arguments = try ParsedArguments(
      [
        "lenet5", "--workers", "3", "--set", "cluster.workers=2", "--set", "epochs=4",
        "--run-dir", "123", "--seed=9",
      ], of: TrainCommand.command)
    let configuration = try arguments.runConfiguration()
    #expect(configuration.network.name == "lenet5")
    #expect(configuration.cluster.workers == 3)
    #expect(configuration.epochs == 4)
    #expect(configuration.seed == 9)
    #expect(configuration.logging.runDirectory == "123")
  }

  @Test func `an option that stands for a key is named as it was written`() throws {
    let arguments = try ParsedArguments(["--fc-nodes", "11"], of: TrainCommand.command)
    #expect(
      throws: ConfigurationError(
        source: "--fc-nodes 11", keyPath: "cluster.fcNodes",
        "11 FC nodes cannot share the 10 units of fc7")
    ) {
      try arguments.runConfiguration()
    }
  }
}
