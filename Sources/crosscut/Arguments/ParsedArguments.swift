import Configuration

/// The arguments of one command, checked against its description.
struct ParsedArguments: Sendable {
  let command: Command
  /// Texts of each option in the order given; a flag has an empty text for each time.
  private let values: [String: [String]]
  let positionals: [String]
  /// Options whose values come from the environment.
  private let inherited: Set<String>
  /// How many of the positionals stand on the command line.
  let typedPositionals: Int

  /// Parses what follows the command's words.
  ///
  /// Options and positionals may mix; `--` ends the options; of an option given twice the last one
  /// holds, unless it is made to be repeated. What is not on the command line at all is looked for
  /// in the environment.
  ///
  /// - Throws: `UsageError`.
  init(
    _ arguments: [String], of command: Command, environment: [String: String] = [:]
  ) throws(UsageError) {
    self.command = command
    var values: [String: [String]] = [:]
    var positionals: [String] = []
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      if argument == "--" {
        positionals += rest
        break
      }
      guard argument.hasPrefix("-"), argument != "-" else {
        positionals.append(argument)
        continue
      }
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let option = try Self.option(written: String(parts[0]), of: command)
      var text = parts.count == 2 ? String(parts[1]) : nil
      if option.valueName == nil {
        guard text == nil else {
          throw UsageError(command: command.name, message: "--\(option.name) takes no value")
        }
      } else if text == nil {
        // `--workers --fc-nodes 2` is a forgotten number, not a number called --fc-nodes.
        guard let next = rest.first, !next.hasPrefix("--") else {
          throw UsageError(
            command: command.name,
            message: "--\(option.name) needs a value: \(option.usage)")
        }
        text = rest.removeFirst()
      }
      try Self.check(text ?? "", of: option, written: "--\(option.name)", command: command)
      values[option.name, default: []].append(text ?? "")
    }
    // Who asks for help needs neither a complete command line nor a correct environment.
    let isComplete = values["help"] == nil
    typedPositionals = positionals.count
    var inherited: Set<String> = []
    if isComplete {
      for option in command.options where values[option.name] == nil {
        let texts = try Self.inherit(option, from: environment, command: command)
        guard !texts.isEmpty else { continue }
        values[option.name] = texts
        inherited.insert(option.name)
      }
      while positionals.count < command.positionals.count,
        let variable = command.positionals[positionals.count].variable,
        let text = environment[variable], !text.isEmpty
      {
        positionals.append(text)
      }
    }
    self.values = values
    self.positionals = positionals
    self.inherited = inherited
    if isComplete { try requireComplete() }
  }

  /// The values that an option's variable gives it; none if it is unset, empty or a flag's 0.
  private static func inherit(
    _ option: Option, from environment: [String: String], command: Command
  ) throws(UsageError) -> [String] {
    guard let variable = option.variable, let text = environment[variable], !text.isEmpty else {
      return []
    }
    guard option.valueName != nil else {
      switch text {
      case "1": return [""]
      case "0": return []
      default:
        throw UsageError(
          command: command.name, message: "\(variable) expects 1 or 0, not \"\(text)\"")
      }
    }
    let texts = option.isRepeated ? Environment.list(text) : [text]
    for text in texts { try check(text, of: option, written: variable, command: command) }
    return texts
  }

  private func requireComplete() throws(UsageError) {
    for option in command.options where option.isRequired && values[option.name] == nil {
      throw UsageError(
        command: command.name,
        message: "missing \(option.usage)" + (option.variable.map { " (or \($0))" } ?? ""))
    }
    let required = command.positionals.filter(\.isRequired)
    if positionals.count < required.count {
      throw UsageError(
        command: command.name, message: "missing \(required[positionals.count].name)")
    }
    let takesAll = command.positionals.contains(where: \.isRepeated)
    if !takesAll, positionals.count > command.positionals.count {
      throw UsageError(
        command: command.name,
        message: "unexpected argument \"\(positionals[command.positionals.count])\"")
    }
  }

  private static func option(
    written: String, of command: Command
  ) throws(UsageError) -> Option {
    let options = command.allOptions
    if written.hasPrefix("--") {
      let name = String(written.dropFirst(2))
      if let option = options.first(where: { $0.name == name }) { return option }
      let near = Suggestion.nearest(to: name, in: options.map(\.name))
      throw UsageError(
        command: command.name,
        message: "unknown option \(written)"
          + (near.map { "; did you mean --\($0)?" } ?? ""))
    }
    let name = written.dropFirst()
    if name.count == 1, let option = options.first(where: { $0.short == name.first }) {
      return option
    }
    // `-workers`: one dash too few.
    let near = options.first { $0.name == name }
    throw UsageError(
      command: command.name,
      message: "unknown option \(written)" + (near.map { "; did you mean --\($0.name)?" } ?? ""))
  }

  private static func check(
    _ text: String, of option: Option, written: String, command: Command
  ) throws(UsageError) {
    let expected: String
    switch option.value {
    case .none, .text: return
    case .integer(_, let range):
      if let value = Int(text), range.contains(value) { return }
      expected =
        range.upperBound == .max
        ? "a whole number of at least \(range.lowerBound)"
        : "a whole number from \(range.lowerBound) to \(range.upperBound)"
    case .number(_, let low):
      if let value = Double(text), value.isFinite, value >= low { return }
      expected = "a number of at least \(low == low.rounded() ? "\(Int(low))" : "\(low)")"
    }
    throw UsageError(
      command: command.name, message: "\(written) expects \(expected), not \"\(text)\"")
  }

  /// Whether the option was given.
  func has(_ name: String) -> Bool { !strings(name).isEmpty }

  /// Whether the option's value comes from its environment variable.
  func isInherited(_ name: String) -> Bool { inherited.contains(name) }

  /// What to call the option in an error: "--server", or "CROSSCUT_SERVER" where its value is from.
  func label(_ name: String) -> String {
    isInherited(name) ? Environment.variable(of: name) : "--\(name)"
  }

  /// - Throws: `UsageError` if two flags that say the opposite were both given in the same place.
  func refuseContradiction(_ one: String, _ other: String) throws(UsageError) {
    guard has(one), has(other), isInherited(one) == isInherited(other) else { return }
    throw UsageError(
      command: command.name, message: "\(label(one)) and \(label(other)) exclude each other")
  }

  /// The option's last value.
  func string(_ name: String) -> String? { strings(name).last }

  /// Every value of a repeated option.
  func strings(_ name: String) -> [String] {
    precondition(
      command.allOptions.contains { $0.name == name }, "\(command.name) has no option --\(name)")
    return values[name] ?? []
  }

  func integer(_ name: String) -> Int? { string(name).flatMap { Int($0) } }

  func number(_ name: String) -> Double? { string(name).flatMap { Double($0) } }

  /// The run directory whose server is to be asked, of commands that take one.
  var observedRun: String? {
    command.positionals.firstIndex { $0.name == Positional.observedRun.name }.flatMap(positional)
  }

  /// The positional at `index`, or `nil` if there are fewer.
  func positional(_ index: Int) -> String? {
    index < positionals.count ? positionals[index] : nil
  }
}
