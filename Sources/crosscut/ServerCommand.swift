/// `crosscut server`: the parameter server, which everybody else joins.
enum ServerCommand {
  static let command = Command(
    words: ["server"],
    summary: "run the parameter server of a cluster",
    details: [
      "Owns the convolutional parameters, the configuration and the membership. It waits for"
        + " cluster.workers workers and cluster.fcNodes FC nodes, trains, and stops with them."
    ],
    positionals: [.configuration],
    options: [
      Option(
        name: "listen", value: .text("ENDPOINT"),
        help: "Where workers, FC nodes and crosscut status connect to.", standard: "tcp://*:5555"),
      .set, .workers, .fcNodes, .runDirectory, .seed, .verbose,
    ],
    examples: [
      Example(
        line: "crosscut server fashion --workers 4 --fc-nodes 2",
        meaning: "Then start four workers and two FC nodes anywhere.")
    ],
    run: run)

  /// - Throws: `ConfigurationError`, or why the run failed.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    throw NotInThisBuild(command: "server")
  }
}
