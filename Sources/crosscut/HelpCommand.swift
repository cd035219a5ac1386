/// `crosscut help`: its pages are printed by `CommandLineInterface`, which knows every command.
enum HelpCommand {
  static let command = Command(
    words: ["help"],
    summary: "show the help of a command, or every key of a configuration file",
    positionals: [
      Positional(
        name: "TOPIC", help: "A command, \"configuration\" or \"environment\".", isRepeated: true)
    ],
    examples: [
      Example(line: "crosscut help model show", meaning: "The help of one command."),
      Example(line: "crosscut help configuration", meaning: "Keys, meanings and defaults."),
      Example(line: "crosscut help environment", meaning: "Variables in place of options."),
    ],
    run: { _ in ExitCode.success })
}
