import Configuration

/// The arguments of one command, checked against its description.
struct ParsedArguments: Sendable {
  let command: Command
  /// Texts of each option in the order given; a flag has an empty text for each time.
  private let values: [String: [String]]
  let positionals: [String]

  /// Parses what follows the command's words.
  ///
  /// Options and positionals may mix; `--` ends the options; of an option given twice the last one
  /// holds, unless it is made to be repeated.
  ///
  /// - Throws: `UsageError`.
  init(_ arguments: [String], of command: Command) throws(UsageError) {
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
      try Self.check(text ?? "", of: option, command: command)
      values[option.name, default: []].append(text ?? "")
    }
    self.values = values
    self.positionals = positionals
    // Who asks for help needs no complete command line.
    if values["help"] == nil { try requireComplete() }
  }

  private func requireComplete() throws(UsageError) {
    for option in command.options where option.isRequired && values[option.name] == nil {
      throw UsageError(command: command.name, message: "missing \(option.usage)")
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
    _ text: String, of option: Option, command: Command
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
      command: command.name, message: "--\(option.name) expects \(expected), not \"\(text)\"")
  }

  /// Whether the option was given.
  func has(_ name: String) -> Bool { !strings(name).isEmpty }

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

  /// The positional at `index`, or `nil` if there are fewer.
  func positional(_ index: Int) -> String? {
    index < positionals.count ? positionals[index] : nil
  }
}
