/// A subcommand, described once: parsing, help, and whatever else lists options follow from it.
struct Command: Sendable {
  /// The words that select it: `["model", "show"]`.
  let words: [String]
  /// One line, lower case, no full stop: "train a network on a cluster on this machine".
  let summary: String
  /// Paragraphs below the usage line.
  var details: [String] = []
  var positionals: [Positional] = []
  var options: [Option] = []
  var examples: [Example] = []
  var exitCodes: [ExitCode] = ExitCode.standard
  /// Does the work and gives the exit status.
  let run: @Sendable (ParsedArguments) throws -> Int32

  /// "model show".
  var name: String { words.joined(separator: " ") }

  /// The options with those that every command has.
  var allOptions: [Option] { options + [.help] }
}

/// `--name VALUE` or a flag.
struct Option: Sendable {
  /// What follows the option.
  enum Value: Sendable {
    case none
    /// Any text; the argument is its name in the help.
    case text(String)
    case integer(String, ClosedRange<Int>)
    /// A finite number of at least the bound.
    case number(String, atLeast: Double)
  }

  /// Without the dashes: "fc-nodes".
  let name: String
  var short: Character?
  var value = Value.none
  /// A sentence or two, with a full stop.
  let help: String
  /// What holds when it is not given, for the help.
  var standard: String?
  var isRepeated = false
  var isRequired = false

  static let help = Option(name: "help", short: "h", help: "Show this help.")

  /// "--workers K".
  var usage: String { valueName.map { "--\(name) \($0)" } ?? "--\(name)" }

  /// The environment variable that is read when the option is not given, or `nil` for --help.
  ///
  /// Empty is as good as unset. A flag's value is 1 or 0; a repeated option's values stand between
  /// semicolons or on lines of their own.
  var variable: String? { name == Self.help.name ? nil : Environment.variable(of: name) }

  /// "K", or `nil` for a flag.
  var valueName: String? {
    switch value {
    case .none: nil
    case .text(let name), .integer(let name, _), .number(let name, _): name
    }
  }
}

/// An argument without a name of its own.
struct Positional: Sendable {
  /// "CONFIG".
  let name: String
  let help: String
  var isRequired = false
  /// Takes all that follow.
  var isRepeated = false
  /// The environment variable that is read when it is not given.
  var variable: String?

  /// "[CONFIG]".
  var usage: String {
    let word = isRepeated ? "\(name)..." : name
    return isRequired ? word : "[\(word)]"
  }
}

/// A command line that works, and what it is for.
struct Example: Sendable {
  let line: String
  let meaning: String
}

/// A process status and when it is given.
struct ExitCode: Sendable {
  let code: Int32
  let meaning: String

  static let success: Int32 = 0
  static let failure: Int32 = 1
  static let usage: Int32 = 2

  static let standard = [
    ExitCode(code: success, meaning: "Done."),
    ExitCode(code: failure, meaning: "It failed; the reason is on standard error."),
    ExitCode(code: usage, meaning: "The command line or the configuration is wrong."),
  ]
}
