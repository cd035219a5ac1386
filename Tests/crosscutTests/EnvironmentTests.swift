import Configuration
import Foundation
import Testing

@testable import crosscut

@Suite struct EnvironmentTests {
  static let command = Command(
    words: ["bake"], summary: "bake bread",
    positionals: [
      Positional(name: "FLOUR", help: "Which.", isRequired: true, variable: "CROSSCUT_FLOUR")
    ],
    options: [
      .set, .workers, .verbose,
      Option(name: "oven-door", value: .text("DOOR"), help: "Which.", isRequired: true),
    ],
    run: { _ in 0 })
  static let complete = ["CROSSCUT_FLOUR": "rye", "CROSSCUT_OVEN_DOOR": "left"]

  static func parse(
    _ line: String, _ environment: [String: String]
  ) throws(UsageError) -> ParsedArguments {
    try ParsedArguments(
      line.split(separator: " ").map(String.init), of: command,
      environment: complete.merging(environment) { $1 })
  }

  @Test func `what is not on the command line comes from the environment`() throws {
    let parsed = try Self.parse("", ["CROSSCUT_WORKERS": "3", "CROSSCUT_VERBOSE": "1"])
    #expect(parsed.positionals == ["rye"])
    #expect(parsed.string("oven-door") == "left")
    #expect(parsed.integer("workers") == 3)
    #expect(parsed.has("verbose"))
    #expect(parsed.label("workers") == "CROSSCUT_WORKERS")
  }

  @Test func `the command line wins`() throws {
    let parsed = try Self.parse(
      "wheat --workers 2 --set a=1", ["CROSSCUT_WORKERS": "nonsense", "CROSSCUT_SET": "b=2"])
    #expect(parsed.positionals == ["wheat"])
    #expect(parsed.integer("workers") == 2)
    #expect(parsed.strings("set") == ["a=1"])
    #expect(parsed.label("workers") == "--workers")
  }

  @Test(arguments: [
    ("a=1", ["a=1"]), ("a=1;b={c: 2}", ["a=1", "b={c: 2}"]),
    (" a = 1 ;\n b=x y\r\n;;", ["a = 1", "b=x y"]), (";", []),
  ])
  func `values of a repeated option stand between semicolons or on lines`(
    text: String, expected: [String]
  ) throws {
    #expect(try Self.parse("", ["CROSSCUT_SET": text]).strings("set") == expected)
  }

  @Test func `empty is unset, and 0 leaves a flag out`() throws {
    let parsed = try Self.parse(
      "", ["CROSSCUT_WORKERS": "", "CROSSCUT_VERBOSE": "0", "CROSSCUT_SET": ""])
    #expect(!parsed.has("workers") && !parsed.has("verbose") && !parsed.has("set"))
  }

  @Test(arguments: [
    (
      ["CROSSCUT_WORKERS": "three"],
      "crosscut bake: CROSSCUT_WORKERS expects a whole number from 1 to 4096, not \"three\""
    ),
    (
      ["CROSSCUT_VERBOSE": "yes"], "crosscut bake: CROSSCUT_VERBOSE expects 1 or 0, not \"yes\""
    ),
    (
      ["CROSSCUT_OVEN_DOOR": ""],
      "crosscut bake: missing --oven-door DOOR (or CROSSCUT_OVEN_DOOR)"
    ),
    (["CROSSCUT_FLOUR": ""], "crosscut bake: missing FLOUR"),
  ])
  func `a wrong variable is one line with its name`(variables: [String: String], expected: String) {
    do throws(UsageError) {
      _ = try Self.parse("", variables)
      Issue.record("accepted")
    } catch {
      #expect(error.description == expected)
    }
  }

  @Test func `who asks for help needs no correct environment`() throws {
    #expect(try Self.parse("--help", ["CROSSCUT_WORKERS": "three"]).has("help"))
  }

  @Test func `a key's value is from --seed, --set, the variable of --seed, CROSSCUT_SET`() throws {
    func seed(_ line: [String], _ environment: [String: String]) throws -> UInt64 {
      try ParsedArguments(line, of: TrainCommand.command, environment: environment)
        .runConfiguration().seed
    }
    let set = ["CROSSCUT_SET": "seed=4"]
    let both = ["CROSSCUT_SET": "seed=4", "CROSSCUT_SEED": "3"]
    #expect(try seed([], set) == 4)
    #expect(try seed([], both) == 3)
    #expect(try seed(["--set", "seed=2"], ["CROSSCUT_SEED": "3"]) == 2)
    #expect(try seed(["--seed", "1", "--set", "seed=2"], both) == 1)
  }

  @Test(arguments: [
    (["CROSSCUT_FC_NODES": "11"], "CROSSCUT_FC_NODES 11"),
    (["CROSSCUT_SET": "cluster.fcNodes=11"], "CROSSCUT_SET cluster.fcNodes=11"),
  ])
  func `an error of the configuration names the variable`(
    environment: [String: String], source: String
  ) throws {
    let arguments = try ParsedArguments([], of: TrainCommand.command, environment: environment)
    #expect(
      throws: ConfigurationError(
        source: source, keyPath: "cluster.fcNodes",
        "11 FC nodes cannot share the 10 units of fc7")
    ) {
      try arguments.runConfiguration()
    }
  }

  @Test func `CONFIG has a variable for commands that can do without it`() throws {
    let arguments = try ParsedArguments(
      [], of: ServerCommand.command, environment: ["CROSSCUT_CONFIG": "lenet5"])
    #expect(try arguments.runConfiguration().network.name == "lenet5")
  }

  @Test func `a slip of the pen is told, what other programs set is not`() {
    let warnings = Environment.warnings(
      [
        "CROSSCUT_WROKERS": "2", "CROSSCUT_FCNODES": "2", "CROSSCUT_WORKERS": "2",
        "CROSSCUT_SERVER_PORT": "tcp://10.0.0.1:5555", "CROSSCUT_SERVER_SERVICE_HOST": "10.0.0.1",
        "CROSSCUT_PORT_5555_TCP_ADDR": "10.0.0.1", "CROSSCUT_PARENT": "1", "CROSSCUT_DATA": "data",
        "CROSSCUT_RUNS": "runs", "WROKERS": "2",
      ], of: CommandLineInterface.allCommands)
    #expect(
      warnings == [
        "crosscut: warning: no command reads CROSSCUT_FCNODES; did you mean CROSSCUT_FC_NODES?",
        "crosscut: warning: no command reads CROSSCUT_WROKERS; did you mean CROSSCUT_WORKERS?",
      ])
  }

  @Test(arguments: CommandLineInterface.allCommands.map(\.name))
  func `the help of every option names its variable`(name: String) throws {
    let page = try CommandLineInterfaceTests.run("help \(name)", width: 1000).text
    let command = try #require(CommandLineInterface.allCommands.first { $0.name == name })
    for option in command.options {
      let variable = try #require(option.variable)
      #expect(page.contains("Environment: \(variable)."))
    }
  }

  /// The table of deploy/README.md, made from the descriptions.
  static var table: String {
    var lines = ["| variable | of | instead of | meaning |", "|---|---|---|---|"]
    for row in Environment.rows(of: CommandLineInterface.allCommands) {
      let standard = row.standard.map { " Default: \($0)." } ?? ""
      let cells = [
        "`\(row.variable)`", row.commands.joined(separator: ", "), "`\(row.usage)`",
        row.help + standard,
      ]
      lines.append("| \(cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ")) |")
    }
    return lines.joined(separator: "\n")
  }

  @Test func `deploy's README has every variable as the descriptions have it`() throws {
    let readme = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../deploy/README.md").standardized
    let text = try String(contentsOf: readme, encoding: .utf8)
    #expect(text.contains("\n" + Self.table + "\n"), "it should have:\n\(Self.table)")
  }
}
