import Configuration
import Glibc
import Nodes
import Observability
import Training

/// `crosscut verify`: a cluster against a single process.
enum VerifyCommand {
  static let command = Command(
    words: ["verify"],
    summary: "check that a cluster computes what a single process computes",
    details: [
      "Runs the same steps on a cluster of the given shape and in one process, compares losses,"
        + " gradients and parameters layer by layer, and prints the first difference beyond the"
        + " tolerance by layer and step.",
      "Every step is compared from the same parameters, so that differences do not add up. Where a"
        + " step goes beyond the tolerance, the single process repeats it with its input rounded the"
        + " other way: what that alone explains (a ReLU that falls the other way in the last bit) is"
        + " reported but not counted.",
      "Numbers travel as fp32, whatever wire.* says: what bf16 rounds would hide a mistake.",
    ],
    positionals: [
      Positional(
        name: "CONFIG", help: "A JSON5 file, or the name of a preset.", isRequired: true)
    ],
    options: [
      .set, .workers, .fcNodes, .serverShards,
      Option(
        name: "steps", value: .integer("N", 1...1_000_000), help: "Steps to compare.",
        standard: "20"),
      Option(
        name: "tolerance", value: .number("X", atLeast: 0),
        help: "Largest difference that passes, relative to the largest value of the tensor.",
        standard: "1e-4"),
      .seed,
    ],
    examples: [
      Example(
        line: "crosscut verify fashion --workers 4 --fc-nodes 3",
        meaning: "Twenty steps of the preset on a cluster of seven.")
    ],
    exitCodes: [
      ExitCode(code: ExitCode.success, meaning: "Equal within the tolerance."),
      ExitCode(code: ExitCode.failure, meaning: "There is a difference, or a run failed."),
      ExitCode(code: ExitCode.usage, meaning: "The command line or the configuration is wrong."),
    ],
    run: run)

  /// - Throws: `ConfigurationError`, or why a run failed.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    var configuration = try arguments.runConfiguration()
    let isRounded = configuration.wire != WireConfiguration()
    configuration.wire = WireConfiguration()
    try RunContext(configuration).checkPrecision()
    let verification = Verification(
      configuration, steps: arguments.integer("steps") ?? 20,
      tolerance: arguments.number("tolerance") ?? 1e-4)
    let report = try verification.run { name in
      Logger(descriptor: STDERR_FILENO, name: name, level: .warning)
    }
    let (workers, fcNodes) = (configuration.cluster.workers, configuration.cluster.fcNodes)
    let shape =
      "\(workers) worker\(workers == 1 ? "" : "s") and \(fcNodes) fc node\(fcNodes == 1 ? "" : "s")"
    try Console.print(
      "\(shape) against a single process, \(report.steps) steps of \(configuration.globalBatch);"
        + " largest differences relative to the largest value\n"
        + (isRounded ? "with fp32 on the wire: what bf16 rounds there is no mistake\n" : "") + "\n"
        + VerificationTable(report: report).text)
    return report.firstFinding == nil ? ExitCode.success : ExitCode.failure
  }
}
