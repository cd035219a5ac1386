import Nodes
import Observability

/// `crosscut metrics`: a run's measures for spreadsheets.
enum MetricsCommand {
  static let command = Command(
    words: ["metrics"],
    summary: "print the measures of a run as CSV",
    positionals: [
      Positional(
        name: "RUN", help: "A run directory, or a metrics.jsonl file; by itself the newest run.")
    ],
    examples: [
      Example(
        line: "crosscut metrics runs/20261123-120000-fashion",
        meaning: "For a spreadsheet, with > fashion.csv behind it.")
    ],
    run: run)

  /// - Throws: `NodeError` or `ObservabilityError` if the run cannot be read.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    let place = try arguments.positional(0) ?? RunFolders.find(nil)
    guard let run = try CompareCommand.read(place) else {
      throw NodeError("\(place): it has no metrics")
    }
    try Console.print(run.metrics.csv())
    return ExitCode.success
  }
}
