import Configuration

/// `crosscut train`: a whole cluster on this machine.
enum TrainCommand {
  static let command = Command(
    words: ["train"],
    summary: "train a network with a whole cluster on this machine",
    details: [
      "Starts one parameter server, K workers and M FC nodes as child processes, shows their"
        + " progress and ends with the test accuracy. Ctrl-C stops all of them."
    ],
    positionals: [.configuration],
    options: [
      .set, .workers, .fcNodes,
      Option(
        name: "in-process", help: "Run the roles as threads of this process, without children."),
      .runDirectory, .seed,
      Option(
        name: "dry-run", help: "Check everything, print the resolved configuration and stop."),
      .verbose,
    ],
    examples: [
      Example(
        line: "crosscut train", meaning: "The preset fashion: a small AlexNet on Fashion-MNIST."),
      Example(
        line: "crosscut train alexnet-owt --workers 2 --set steps=20",
        meaning: "Twenty steps of AlexNet on synthetic images."),
      Example(
        line: "crosscut train my.json5 --set optimizer.learningRate=0.02",
        meaning: "A file of one's own, with one value changed."),
    ],
    run: run)

  /// - Throws: `ConfigurationError`, or why the run failed.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    throw NotInThisBuild(command: "train")
  }
}
