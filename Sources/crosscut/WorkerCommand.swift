import Messages

/// `crosscut worker`: one replica of the convolutional layers.
enum WorkerCommand {
  static let command = Command(
    words: ["worker"],
    summary: "run a worker: a replica of the conv layers, on its share of the data",
    details: ["Everything but the server's address and the key comes from the server."],
    options: [
      Option(
        name: "server", value: .text("ENDPOINT"),
        help: "The parameter server, e.g. tcp://10.0.0.1:5555; a token says it too."),
      .keyFile, .join,
      Option(
        name: "rank-hint", value: .integer("N", 0...4095),
        help: "The rank to ask for; the server decides.",
        standard: "the first free one"),
      .joinTimeout, .verbose,
    ],
    examples: [
      Example(
        line: "crosscut worker --server tcp://10.0.0.1:5555", meaning: "Join the run over there."),
      Example(
        line: "crosscut worker --join @token",
        meaning: "Join a cluster that encrypts; the file holds what crosscut token has printed."),
    ],
    run: run)

  /// - Throws: why the worker had to stop.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    try NodeCommand.runMember(.worker, arguments)
  }
}
