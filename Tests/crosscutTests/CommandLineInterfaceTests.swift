import Configuration
import Testing

@testable import crosscut

@Suite struct CommandLineInterfaceTests {
  /// Output and exit status of a command line.
  static func run(
    _ line: String, width: Int = 80, environment: [String: String] = [:]
  ) throws -> (text: String, status: Int32) {
    var text = ""
    let interface = CommandLineInterface(
      commands: CommandLineInterface.allCommands, width: width, environment: environment,
      print: { text += $0 })
    let status = try interface.run(line.split(separator: " ").map(String.init))
    return (text, status)
  }

  static func error(_ line: String, environment: [String: String] = [:]) -> String {
    do {
      return "accepted: \(try run(line, environment: environment).text)"
    } catch {
      return "\(error)"
    }
  }

  @Test(arguments: ["--version", "-V"])
  func `the version is one line`(line: String) throws {
    #expect(try Self.run(line).text == "crosscut 0.1.0\n")
  }

  @Test(arguments: ["--help", "-h", "help"])
  func `the overview lists every command`(line: String) throws {
    let text = try Self.run(line).text
    for command in CommandLineInterface.allCommands {
      #expect(text.contains("\n  \(command.name)  "))
    }
  }

  @Test(arguments: CommandLineInterface.allCommands.map(\.name))
  func `a command's page is the same by both ways and has every option`(name: String) throws {
    let page = try Self.run("help \(name)").text
    #expect(page.hasPrefix("crosscut \(name) - "))
    #expect(try Self.run("\(name) --help").text == page)
    let command = try #require(CommandLineInterface.allCommands.first { $0.name == name })
    for option in command.allOptions { #expect(page.contains(option.usage)) }
    for code in command.exitCodes { #expect(page.contains("\n  \(code.code)  ")) }
  }

  @Test(arguments: ["data", "model", "checkpoint"])
  func `the first of two words says which commands there are`(word: String) throws {
    let page = try Self.run("\(word) --help").text
    #expect(try Self.run("help \(word)").text == page)
    #expect(try Self.run("\(word) -h").text == page)
    let members = CommandLineInterface.allCommands.filter { $0.words.first == word }
    #expect(members.count > 1)
    for member in members { #expect(page.contains("  \(member.name)")) }
  }

  @Test(arguments: CommandLineInterface.allCommands.map(\.name))
  func `every example of a command parses`(name: String) throws {
    let command = try #require(CommandLineInterface.allCommands.first { $0.name == name })
    for example in command.examples {
      let words = example.line.split(separator: " ").map(String.init)
      #expect(words.starts(with: ["crosscut"] + command.words))
      _ = try ParsedArguments(Array(words.dropFirst(1 + command.words.count)), of: command)
    }
  }

  @Test(arguments: [72, 80, 100])
  func `pages keep to the width`(width: Int) throws {
    let pages = CommandLineInterface.allCommands.map { "help \($0.name)" }
    for line in pages + ["--help", "help configuration", "help environment"] {
      for row in try Self.run(line, width: width).text.split(separator: "\n") {
        // An example's command line is never broken, and neither is a long term.
        let isTerm = row.hasPrefix("  crosscut ") || !row.dropFirst(4).contains(" ")
        #expect(row.count <= width || isTerm, "\(row)")
        #expect(row.last != " ")
      }
    }
  }

  @Test(arguments: [
    ("", "crosscut: no command given; see crosscut --help"),
    ("trian", "crosscut: unknown command \"trian\"; did you mean \"train\"?"),
    (
      "zebra",
      "crosscut: unknown command \"zebra\"; there are train, server, worker, fc, keygen, token,"
        + " status, nodes, logs, replay, stop, set, drill, trace, health, doctor, metrics, audit,"
        + " compare, evaluate, predict, verify, model, plan, data, checkpoint, completion, man, help"
    ),
    ("--hepl", "crosscut: unknown option --hepl; did you mean --help?"),
    ("--watch status", "crosscut: unknown option --watch"),
    ("model", "crosscut model: needs a command: list, show"),
    ("model --json", "crosscut model: needs a command: list, show"),
    ("model shwo", "crosscut model: unknown command \"shwo\"; did you mean \"show\"?"),
    ("model show", "crosscut model show: missing NAME"),
    (
      "model show fashoin --source",
      "crosscut model show: --source prints presets, and \"fashoin\" is none"
    ),
    ("help trian", "crosscut: unknown command \"trian\"; did you mean \"train\"?"),
    ("help train now", "crosscut help: unexpected argument \"now\""),
    ("worker", "crosscut worker: missing --server ENDPOINT (or CROSSCUT_SERVER), or --join TOKEN"),
    (
      "worker --server tcp://127.0.0.1:5555 --listen tcp://127.0.0.1:0",
      "crosscut worker: --listen is for an FC node, and a worker only dials out: add --with-fc"
    ),
    (
      "train --layout besides",
      "crosscut train: --layout \"besides\": expected separate or beside"
    ),
    (
      "train --layout beside --in-process",
      "crosscut train: --layout is about processes, and with --in-process there is one"
    ),
    (
      "server --shard 0/2 --coordinator tcp://127.0.0.1:5555",
      "crosscut server: --shard \"0/2\": shard 0 is the coordinator: start it without --shard, with"
        + " --server-shards 2"
    ),
    (
      "server --shard 2/2 --coordinator tcp://127.0.0.1:5555",
      "crosscut server: --shard \"2/2\": expected I/S, I from 1 to S-1, like 1/2"
    ),
    (
      "server --coordinator tcp://127.0.0.1:5555",
      "crosscut server: --coordinator is for a shard: add --shard I/S"
    ),
    (
      "server --shard 1/2 --coordinator tcp://127.0.0.1:5555 --workers 3",
      "crosscut server: --workers is the coordinator's: a shard has everything from there"
    ),
    (
      "server --shard 1/2",
      "crosscut server: missing --coordinator ENDPOINT (or CROSSCUT_COORDINATOR), or --join TOKEN"
    ),
    (
      "train lenet5 --server-shards 4",
      "--server-shards 4: cluster.serverShards: 4 server shards cannot share 3 chunks of conv"
        + " parameters; a smaller cluster.chunkBytes makes more of them"
    ),
    (
      "server mine.json5 --shard 1/2 --coordinator tcp://127.0.0.1:5555",
      "crosscut server: CONFIG is the coordinator's: a shard has everything from there"
    ),
    ("train --secure --insecure", "crosscut train: --secure and --insecure exclude each other"),
    ("server --secure --insecure", "crosscut server: --secure and --insecure exclude each other"),
    ("train lenet5 --json", "crosscut train: --json goes with --dry-run"),
    ("stop --reason late", "crosscut stop: --reason goes with --server ENDPOINT"),
    ("stop --key-file node.key", "crosscut stop: --key-file goes with --server ENDPOINT"),
    ("stop runs/a --reason late", "crosscut stop: --reason goes with --server ENDPOINT"),
    ("stop runs/a --join @token", "crosscut stop: RUN and --join exclude each other"),
    (
      "stop runs/a --server tcp://10.0.0.1:5555",
      "crosscut stop: RUN and --server exclude each other"
    ),
    ("verify fashion --step 3", "crosscut verify: unknown option --step; did you mean --steps?"),
    ("status runs/a now", "crosscut status: unexpected argument \"now\""),
    ("status now", "now: there is no such run directory"),
    (
      "model show fashoin",
      "fashoin: neither a file nor a preset; did you mean \"fashion\"?"
    ),
  ])
  func `a wrong command line is one line`(line: String, expected: String) {
    #expect(Self.error(line) == expected)
  }

  @Test(arguments: [
    "stop", "logs", "trace", "set lr=0.1", "checkpoint now", "drill kill worker-0",
  ])
  func `a token goes to its own server, and is refused where a node's key is wanted`(line: String) {
    let name = line.prefix { $0 != "=" }.split(separator: " ").first.map(String.init) ?? ""
    for (more, environment) in [
      (" --join @token", [:]), ("", ["CROSSCUT_JOIN": "crosscut-join-1.a"]),
      (" --server tcp://127.0.0.1:1 --join @token", [:]),
    ] as [(String, [String: String])] {
      let error = Self.error(line + more, environment: environment)
      #expect(error.hasPrefix("crosscut \(name)"), "\(error)")
      #expect(error.contains("need a node's key: give --key-file FILE; a token"), "\(error)")
    }
  }

  @Test func `the help of the configuration has every key and preset`() throws {
    let text = try Self.run("help configuration").text
    for key in RunConfiguration.documentation { #expect(text.contains("\n  \(key.path)")) }
    for name in RunConfiguration.presetNames { #expect(text.contains(name)) }
    #expect(text.contains("conv.channels"))
  }
}
