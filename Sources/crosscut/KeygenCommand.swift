import Nodes

/// `crosscut keygen`: the keys of a cluster that encrypts.
enum KeygenCommand {
  static let command = Command(
    words: ["keygen"],
    summary: "make the keys of a cluster that encrypts and lets in only whom it knows",
    details: [
      "Makes DIR/server.key for crosscut server, DIR/nodes/NAME.key for each machine that joins, and"
        + " DIR/allowed-keys, the list of those who are let in. The server's key stays where it is;"
        + " copy a node's to its machine, by a way that nobody reads along. To lock somebody out"
        + " take the line out of allowed-keys: no restart is needed."
    ],
    options: [
      Option(
        name: "out", value: .text("DIR"), help: "The folder of keys; what is there is kept.",
        isRequired: true),
      Option(
        name: "node", value: .text("NAME"),
        help: "Make a key for another machine. May be repeated.", standard: "one called node",
        isRepeated: true),
    ],
    examples: [
      Example(
        line: "crosscut keygen --out keys --node gpu1 --node gpu2",
        meaning: "Keys for a server and two machines."),
      Example(
        line: "crosscut keygen --out keys --node gpu3",
        meaning: "A key for one more; crosscut server --key-file keys/server.key needs no restart."),
    ],
    run: run)

  /// - Throws: `NodeError` for what cannot be written.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    let directory = KeyDirectory(arguments.string("out") ?? "")
    var names = arguments.strings("node")
    var made: [String] = []
    if !directory.exists {
      let first = names.isEmpty ? KeyDirectory.firstNode : names.removeFirst()
      try directory.create(node: first)
      made = [directory.serverKey, directory.allowedKeys, directory.nodeKey(first)]
    } else if names.isEmpty {
      throw NodeError(
        "\(directory.serverKey) is there already and is kept; --node NAME makes a key for another "
          + "machine")
    }
    for name in names {
      try directory.addNode(name)
      made.append(directory.nodeKey(name))
    }
    try Console.print(made.map { $0 + "\n" }.joined())
    return ExitCode.success
  }
}
