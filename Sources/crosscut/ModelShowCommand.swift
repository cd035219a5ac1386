import Configuration

/// `crosscut model show`: a network's layers, shapes and costs.
enum ModelShowCommand {
  static let command = Command(
    words: ["model", "show"],
    summary: "print a network's layers, shapes, parameters and costs",
    details: [
      "Bytes are those of a layer's output for one image in fp32; multiply-adds are those of one"
        + " image's forward pass. A training step takes about three times as many."
    ],
    positionals: [
      Positional(
        name: "NAME", help: "The name of a preset, or a configuration file.", isRequired: true)
    ],
    options: [
      .set, .json,
      Option(
        name: "source",
        help: "Print the preset's file as it is, comments included, to copy and change it."),
    ],
    examples: [
      Example(line: "crosscut model show alexnet-2012", meaning: "The two-tower network of 2012."),
      Example(
        line: "crosscut model show my.json5 --json", meaning: "The same for programs to read."),
      Example(
        line: "crosscut model show alexnet-owt --source",
        meaning: "The preset's file: into my.json5 it begins a configuration of your own."),
    ],
    run: run)

  /// - Throws: `ConfigurationError` for a network that cannot be.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    if arguments.has("source") {
      guard !arguments.has("json"), !arguments.has("set") else {
        throw UsageError(
          command: "model show",
          message: "--source prints the preset's file as it is: without --json and --set")
      }
      let name = arguments.positional(0) ?? ""
      guard let text = RunConfiguration.presetText(named: name) else {
        throw UsageError(
          command: "model show", message: "--source prints presets, and \"\(name)\" is none")
      }
      try Console.print(text)
      return ExitCode.success
    }
    let configuration = try arguments.runConfiguration()
    let table = NetworkTable(
      name: configuration.network.name ?? arguments.positional(0) ?? "",
      plan: try configuration.networkPlan(), precision: configuration.precision)
    try Console.print(arguments.has("json") ? table.json.prettyText : table.text)
    return ExitCode.success
  }
}
