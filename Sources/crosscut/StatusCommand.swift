/// `crosscut status`: what a running cluster does.
enum StatusCommand {
  static let command = Command(
    words: ["status"],
    summary: "show what a running cluster does, node by node",
    options: [
      Option(
        name: "server", value: .text("ENDPOINT"), help: "The parameter server.",
        standard: "tcp://127.0.0.1:5555"),
      Option(name: "watch", help: "Show it again every second until Ctrl-C."),
      .json,
      Option(
        name: "why", help: "Show who waits for whom, for what and since when, to the root cause."),
    ],
    examples: [
      Example(line: "crosscut status --watch", meaning: "Follow the run on this machine."),
      Example(
        line: "crosscut status --server tcp://10.0.0.1:5555 --why",
        meaning: "Why does the run over there not move?"),
    ],
    exitCodes: [
      ExitCode(code: ExitCode.success, meaning: "The server answered."),
      ExitCode(code: ExitCode.failure, meaning: "There is no server, or it did not answer."),
      ExitCode(code: ExitCode.usage, meaning: "The command line is wrong."),
    ],
    run: run)

  /// - Throws: why there is no status.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    throw NotInThisBuild(command: "status")
  }
}
