import Messages

/// `crosscut fc`: one slice of every fully connected layer.
enum FCCommand {
  static let command = Command(
    words: ["fc"],
    summary: "run an FC node: a slice of every fully connected layer",
    details: ["Everything but the server's address and the key comes from the server."],
    options: [
      Option(
        name: "server", value: .text("ENDPOINT"),
        help: "The parameter server, e.g. tcp://10.0.0.1:5555; a token says it too."),
      .keyFile, .join,
      .memberListen, .insecure,
      Option(
        name: "rank-hint", value: .integer("N", 0...4095),
        help: "The rank to ask for; the server decides.",
        standard: "the first free one"),
      .joinTimeout, .record, .allowDrills, .verbose,
    ],
    examples: [
      Example(
        line: "crosscut fc --server tcp://10.0.0.1:5555 --listen tcp://10.0.0.7:0",
        meaning: "Join the run over there, reachable at one address of this machine.")
    ],
    run: run)

  /// - Throws: why the node had to stop.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    try NodeCommand.runMembers([.fc], arguments)
  }
}
