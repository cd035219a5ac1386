import Configuration

/// Help pages, rendered from the commands' descriptions.
enum HelpText {
  /// `crosscut --help`.
  static func overview(of commands: [Command], width: Int) -> String {
    var layout = TextLayout(width: width)
    layout.paragraph(
      "crosscut - train convolutional networks on many machines: conv layers data-parallel, fully"
        + " connected layers model-parallel")
    layout.line()
    layout.line("Usage: crosscut COMMAND [OPTIONS] [ARGUMENTS]")
    layout.heading("Commands")
    layout.list(commands.map { ($0.name, $0.summary) })
    layout.heading("Options")
    layout.list([
      ("-h, --help", "Show this help; after a command, the command's."),
      ("-V, --version", "Show the version."),
    ])
    layout.heading("Examples")
    layout.list([
      ("crosscut train", "Train a small AlexNet on Fashion-MNIST, on this machine."),
      ("crosscut help train", "Everything about one command."),
      ("crosscut help configuration", "Every key of a configuration file."),
      ("crosscut help environment", "Every variable that stands in for an option."),
    ])
    return layout.text
  }

  /// `crosscut help WORD`, where several commands begin with the word.
  static func group(_ word: String, _ members: [Command], width: Int) -> String {
    var layout = TextLayout(width: width)
    layout.line("Usage: crosscut \(word) COMMAND [OPTIONS] [ARGUMENTS]")
    layout.heading("Commands")
    layout.list(members.map { ($0.name, $0.summary) })
    layout.line()
    layout.paragraph("crosscut help \(members[0].name) says everything about one of them.")
    return layout.text
  }

  /// `crosscut help COMMAND`.
  static func page(of command: Command, width: Int) -> String {
    var layout = TextLayout(width: width)
    layout.paragraph("crosscut \(command.name) - \(command.summary)")
    layout.line()
    layout.paragraph("Usage: \(usage(of: command))")
    for paragraph in command.details {
      layout.line()
      layout.paragraph(paragraph)
    }
    if !command.positionals.isEmpty {
      layout.heading("Arguments")
      layout.list(
        command.positionals.map { positional in
          let variable = positional.variable.map { " Environment: \($0)." } ?? ""
          return (positional.name, positional.help + variable)
        })
    }
    layout.heading("Options")
    layout.list(
      command.allOptions.map { option in
        let short = option.short.map { "-\($0), " } ?? "    "
        let standard = option.standard.map { " Default: \($0)." } ?? ""
        let variable = option.variable.map { " Environment: \($0)." } ?? ""
        return (short + option.usage, option.help + standard + variable)
      })
    if !command.examples.isEmpty {
      layout.heading("Examples")
      for example in command.examples {
        layout.line("  " + example.line)
        layout.paragraph(example.meaning, indent: 6)
      }
    }
    layout.heading("Exit status")
    layout.list(command.exitCodes.map { ("\($0.code)", $0.meaning) })
    return layout.text
  }

  /// `crosscut help configuration`.
  static func configuration(width: Int) -> String {
    var layout = TextLayout(width: width)
    layout.paragraph(
      "A configuration is a JSON5 file: comments, trailing commas and bare keys are welcome. Any"
        + " subset of the keys may be given; the others have the defaults that stand here."
        + " --set KEY=VALUE lays a value over the file, with the same key paths.")
    layout.heading("Keys")
    layout.list(
      RunConfiguration.documentation.map { key in
        let standard = key.defaultText.map { " Default: \($0)." } ?? ""
        return (key.path, key.help + standard)
      })
    layout.heading("Layers")
    layout.list(
      RunConfiguration.layerDocumentation.map { key in
        let standard = key.defaultText.map { " Default: \($0)." } ?? ""
        return (key.path, key.help + standard)
      })
    layout.heading("Presets")
    layout.paragraph(RunConfiguration.presetNames.joined(separator: ", "), indent: 2)
    return layout.text
  }

  /// `crosscut help environment`.
  static func environment(of commands: [Command], width: Int) -> String {
    var layout = TextLayout(width: width)
    layout.paragraph(
      "An option that is not on the command line takes its value from its environment variable, if"
        + " that is set and not empty. A flag's value is 1 or 0; values of --set stand between"
        + " semicolons or on lines of their own.")
    layout.heading("Variables")
    layout.list(
      Environment.rows(of: commands).map { row in
        (row.variable, "\(row.usage) of \(row.commands.joined(separator: ", ")). \(row.help)")
      })
    return layout.text
  }

  private static func usage(of command: Command) -> String {
    let required = command.options.filter(\.isRequired).map(\.usage)
    let words =
      ["crosscut", command.name] + required + ["[OPTIONS]"] + command.positionals.map(\.usage)
    return words.joined(separator: " ")
  }
}
