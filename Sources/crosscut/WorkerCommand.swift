import Messages

/// `crosscut worker`: one replica of the convolutional layers.
enum WorkerCommand {
  static let command = Command(
    words: ["worker"],
    summary: "run a worker: a replica of the conv layers, on its share of the data",
    details: [
      "Everything but the server's address and the key comes from the server.",
      "With --with-fc this process is an FC node too, as each device of the 2014 paper: its two roles"
        + " join, train and leave together, and its death is the loss of both. --with-server-shard"
        + " makes it one of several parameter servers in the same way.",
    ],
    options: [
      Option(
        name: "server", value: .text("ENDPOINT"),
        help: "The parameter server, e.g. tcp://10.0.0.1:5555; a token says it too."),
      .keyFile, .join,
      Option(name: "with-fc", help: "Be an FC node too, with threads of its own."),
      Option(
        name: "with-server-shard",
        help: "Be a parameter server beside the coordinator too, with a share of the conv"
          + " parameters."),
      .memberListen, .insecure,
      Option(
        name: "rank-hint", value: .integer("N", 0...4095),
        help: "The rank to ask for; the server decides.",
        standard: "the first free one"),
      .joinTimeout, .record, .allowDrills, .verbose,
    ],
    examples: [
      Example(
        line: "crosscut worker --server tcp://10.0.0.1:5555", meaning: "Join the run over there."),
      Example(
        line: "crosscut worker --join @token",
        meaning: "Join a cluster that encrypts; the file holds what crosscut token has printed."),
      Example(
        line: "crosscut worker --with-fc --server tcp://10.0.0.1:5555 --insecure",
        meaning: "One of K machines, each with a worker and a slice of the FC layers."),
    ],
    run: run)

  /// - Throws: `UsageError`, or why the worker had to stop.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    var roles: [Role] = []
    if arguments.has("with-server-shard") { roles.append(.shard) }
    if arguments.has("with-fc") { roles.append(.fc) }
    for name in ["listen", "insecure"]
    where roles.isEmpty && arguments.has(name) && !arguments.isInherited(name) {
      throw UsageError(
        command: command.name,
        message: "--\(name) is for an FC node, and a worker only dials out: add --with-fc")
    }
    if roles.count > 1, let listen = arguments.string("listen"), !listen.hasSuffix(":0") {
      throw UsageError(
        command: command.name,
        message:
          "\(arguments.label("listen")) \"\(listen)\": FC node and server shard cannot share a"
          + " port; give port 0")
    }
    return try NodeCommand.runMembers(roles + [.worker], arguments)
  }
}
