import Configuration

/// Finds the command that a command line names and runs it.
struct CommandLineInterface {
  static let version = "crosscut 0.1.0"

  /// In the order of the overview.
  static let allCommands: [Command] = [
    TrainCommand.command, ServerCommand.command, WorkerCommand.command, FCCommand.command,
    KeygenCommand.command, TokenCommand.command, StatusCommand.command, NodesCommand.command,
    LogsCommand.command, ReplayCommand.command, StopCommand.command, OperatorCommands.set,
    DrillCommand.command, TraceCommand.command,
    HealthCommand.command,
    DoctorCommand.command,
    MetricsCommand.command, AuditCommand.command, CompareCommand.command, EvaluateCommand.command,
    PredictCommand.command, VerifyCommand.command, ModelListCommand.command,
    ModelShowCommand.command, PlanCommand.command,
    DataPrepareCommand.command, DataInfoCommand.command, DataPreviewCommand.command,
    CheckpointCommand.list, CheckpointCommand.verify, CheckpointCommand.show,
    OperatorCommands.checkpointNow,
    CompletionCommand.command, ManCommand.command, HelpCommand.command,
  ]

  let commands: [Command]
  /// Columns of the help.
  let width: Int
  /// Where options that are not given may come from.
  var environment: [String: String] = [:]
  /// Where results go.
  let print: (String) throws -> Void

  /// Runs the command line, without the program's name.
  ///
  /// - Returns: the exit status.
  /// - Throws: `UsageError`, or whatever the command throws.
  func run(_ arguments: [String]) throws -> Int32 {
    guard let first = arguments.first else {
      throw UsageError(command: "", message: "no command given; see crosscut --help")
    }
    switch first {
    case "-h", "--help":
      try print(HelpText.overview(of: commands, width: width))
      return ExitCode.success
    case "-V", "--version":
      try print(Self.version + "\n")
      return ExitCode.success
    case "help" where !arguments.dropFirst().contains { $0 == "-h" || $0 == "--help" }:
      return try help(Array(arguments.dropFirst()))
    case let option where option.hasPrefix("-"):
      let near = Suggestion.nearest(to: String(option.drop { $0 == "-" }), in: ["help", "version"])
      throw UsageError(
        command: "",
        message: "unknown option \(option)" + (near.map { "; did you mean --\($0)?" } ?? ""))
    default:
      break
    }
    if arguments.count == 2, ["-h", "--help"].contains(arguments[1]), !group(first).isEmpty {
      return try help([first])
    }
    let (command, rest) = try find(arguments)
    let parsed = try ParsedArguments(rest, of: command, environment: environment)
    guard !parsed.has("help") else {
      try print(HelpText.page(of: command, width: width))
      return ExitCode.success
    }
    return try command.run(parsed)
  }

  private func help(_ words: [String]) throws -> Int32 {
    if words.isEmpty {
      try print(HelpText.overview(of: commands, width: width))
    } else if words == ["configuration"] {
      try print(HelpText.configuration(width: width))
    } else if words == ["environment"] {
      try print(HelpText.environment(of: commands, width: width))
    } else if words.count == 1, case let members = group(words[0]), !members.isEmpty {
      try print(HelpText.group(words[0], members, width: width))
    } else {
      let (command, rest) = try find(words)
      if let extra = rest.first {
        throw UsageError(command: "help", message: "unexpected argument \"\(extra)\"")
      }
      try print(HelpText.page(of: command, width: width))
    }
    return ExitCode.success
  }

  /// Commands of two words that begin with this one, which is none by itself.
  private func group(_ word: String) -> [Command] {
    commands.contains { $0.words == [word] }
      ? [] : commands.filter { $0.words.count == 2 && $0.words[0] == word }
  }

  /// The command whose words the arguments begin with, and what follows them.
  private func find(_ arguments: [String]) throws(UsageError) -> (Command, [String]) {
    if let command = commands.first(where: { arguments.starts(with: $0.words) }) {
      return (command, Array(arguments.dropFirst(command.words.count)))
    }
    let first = arguments[0]
    let members = group(first).map { $0.words[1] }
    guard members.isEmpty else {
      guard arguments.count > 1, !arguments[1].hasPrefix("-") else {
        throw UsageError(
          command: first, message: "needs a command: \(members.joined(separator: ", "))")
      }
      throw UsageError(command: first, message: unknown(arguments[1], in: members))
    }
    var vocabulary: [String] = []
    for command in commands where !vocabulary.contains(command.words[0]) {
      vocabulary.append(command.words[0])
    }
    throw UsageError(command: "", message: unknown(first, in: vocabulary))
  }

  private func unknown(_ word: String, in vocabulary: [String]) -> String {
    let near = Suggestion.nearest(to: word, in: vocabulary)
    return "unknown command \"\(word)\""
      + (near.map { "; did you mean \"\($0)\"?" }
        ?? "; there are \(vocabulary.joined(separator: ", "))")
  }
}
