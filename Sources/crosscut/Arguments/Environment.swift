import Configuration
import Glibc

/// The environment variables that stand in for options: `CROSSCUT_FC_NODES` for `--fc-nodes`.
enum Environment {
  static let prefix = "CROSSCUT_"

  /// What the process was started with; of a name given twice the first one holds, as for `getenv`.
  static func ofProcess() -> [String: String] {
    var out: [String: String] = [:]
    var pointer = environ
    while let entry = pointer.pointee {
      let parts = String(cString: entry).split(
        separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      if parts.count == 2, out[String(parts[0])] == nil {
        out[String(parts[0])] = String(parts[1])
      }
      pointer += 1
    }
    return out
  }

  /// The variable of an option or argument: "fc-nodes" to "CROSSCUT_FC_NODES".
  static func variable(of name: String) -> String {
    prefix + name.uppercased().replacing("-", with: "_")
  }

  /// The parts of a variable for a repeated option, between semicolons or line ends.
  static func list(_ text: String) -> [String] {
    text.split { $0 == ";" || $0.isNewline }
      .map { $0.trimmed }
      .filter { !$0.isEmpty }
  }

  /// One variable as the tables show it.
  struct Row: Hashable {
    let variable: String
    /// "--fc-nodes M", or "CONFIG" for an argument.
    let usage: String
    let help: String
    let standard: String?
    /// Names of the commands that read it with this meaning.
    var commands: [String]
  }

  /// Every variable by name; one that means different things to different commands has a row for
  /// each meaning.
  static func rows(of commands: [Command]) -> [Row] {
    var rows: [Row] = []
    func add(_ row: Row) {
      let same = rows.firstIndex {
        $0.variable == row.variable && $0.help == row.help && $0.standard == row.standard
      }
      if let same { rows[same].commands += row.commands } else { rows.append(row) }
    }
    for command in commands {
      for positional in command.positionals {
        guard let variable = positional.variable else { continue }
        add(
          Row(
            variable: variable, usage: positional.name, help: positional.help, standard: nil,
            commands: [command.name]))
      }
      for option in command.options {
        guard let variable = option.variable else { continue }
        add(
          Row(
            variable: variable, usage: option.usage, help: option.help,
            standard: option.standard, commands: [command.name]))
      }
    }
    // Rows of one variable stay in the order of the commands.
    return rows.enumerated().sorted {
      ($0.element.variable, $0.offset) < ($1.element.variable, $1.offset)
    }.map(\.element)
  }

  /// A line for each variable that looks like a slip of the pen: `CROSSCUT_WROKERS`.
  ///
  /// Others that begin alike may be anybody's: Kubernetes gives every container
  /// `CROSSCUT_SERVER_PORT` and more where a service is called crosscut-server.
  static func warnings(_ environment: [String: String], of commands: [Command]) -> [String] {
    let known = Set(rows(of: commands).map(\.variable))
    let names = known.sorted().map { String($0.dropFirst(prefix.count)) }
    return environment.keys.filter { $0.hasPrefix(prefix) && !known.contains($0) }.sorted()
      .compactMap { variable in
        Suggestion.nearest(to: String(variable.dropFirst(prefix.count)), in: names).map {
          "crosscut: warning: no command reads \(variable); did you mean \(prefix)\($0)?"
        }
      }
  }
}

extension Substring {
  /// Without the spaces around it.
  fileprivate var trimmed: String {
    let head = drop { $0.isWhitespace }
    return String(head.reversed().drop { $0.isWhitespace }.reversed())
  }
}
