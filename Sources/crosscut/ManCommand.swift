/// `crosscut man`: the manual page.
enum ManCommand {
  static let command = Command(
    words: ["man"],
    summary: "print the manual page, as man reads it",
    details: ["Made from the same descriptions as the help: crosscut man > crosscut.1."],
    examples: [Example(line: "crosscut man", meaning: "Followed by | man -l - : read it.")],
    run: run)

  /// - Throws: if standard output cannot be written to.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    try Console.print(ManualPage.page(of: CommandLineInterface.allCommands))
    return ExitCode.success
  }
}

/// The manual page in man(7)'s macros.
enum ManualPage {
  /// All commands on one page.
  static func page(of commands: [Command]) -> String {
    var page = Page()
    page.raw(".TH CROSSCUT 1 \"\" \"\(escaped(CommandLineInterface.version))\" \"User Commands\"")
    page.section("NAME")
    page.text("crosscut - train convolutional networks on many machines")
    page.section("SYNOPSIS")
    page.raw(".B crosscut")
    page.text("COMMAND [OPTIONS] [ARGUMENTS]")
    page.section("DESCRIPTION")
    page.text(
      "Conv layers run data-parallel with a parameter server, fully connected layers model-parallel."
        + " Every command explains itself with --help.")
    page.section("COMMANDS")
    for command in commands { page.command(command) }
    page.section("ENVIRONMENT")
    page.text(
      "An option that is not on the command line takes its value from its variable: CROSSCUT_SEED"
        + " for --seed. crosscut help environment lists all of them.")
    page.section("EXIT STATUS")
    for code in ExitCode.standard { page.term("\(code.code)", code.meaning) }
    page.section("SEE ALSO")
    page.text("crosscut help configuration, crosscut help environment")
    return page.lines.joined(separator: "\n") + "\n"
  }

  private struct Page {
    var lines: [String] = []

    mutating func raw(_ line: String) { lines.append(line) }
    mutating func section(_ name: String) { raw(".SH \(name)") }
    mutating func text(_ text: String) { raw(ManualPage.escaped(text)) }

    mutating func term(_ term: String, _ explanation: String) {
      raw(".TP")
      raw("\\fB\(ManualPage.escaped(term))\\fR")
      text(explanation)
    }

    mutating func command(_ command: Command) {
      raw(".SS \"crosscut \(ManualPage.escaped(command.name))\"")
      text(ManualPage.sentence(command.summary))
      for paragraph in command.details {
        raw(".PP")
        text(paragraph)
      }
      for positional in command.positionals { term(positional.name, positional.help) }
      for option in command.options {
        let short = option.short.map { "-\($0), " } ?? ""
        let standard = option.standard.map { " Default: \($0)." } ?? ""
        term(short + option.usage, option.help + standard)
      }
      for example in command.examples {
        raw(".PP")
        text(example.meaning)
        raw(".PP")
        raw(".RS 4")
        raw(".nf")
        text(example.line)
        raw(".fi")
        raw(".RE")
      }
    }
  }

  /// A summary as a sentence.
  static func sentence(_ text: String) -> String {
    text.prefix(1).uppercased() + text.dropFirst() + "."
  }

  /// Nothing in `text` is taken for a macro or an escape.
  static func escaped(_ text: String) -> String {
    let safe = text.replacing("\\", with: "\\e").replacing("-", with: "\\-")
      .replacing("\"", with: "\\(dq")
    return safe.hasPrefix(".") || safe.hasPrefix("'") ? "\\&" + safe : safe
  }
}
