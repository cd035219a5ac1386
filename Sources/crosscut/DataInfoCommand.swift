import Configuration
import Datasets

/// `crosscut data info`: what a prepared data set holds.
enum DataInfoCommand {
  static let command = Command(
    words: ["data", "info"],
    summary: "print a prepared data set's classes, counts and statistics",
    positionals: [
      Positional(
        name: "DIR", help: "A folder that crosscut data prepare has written.", isRequired: true)
    ],
    options: [.json],
    examples: [
      Example(line: "crosscut data info /data/imagenet", meaning: "A summary for people.")
    ],
    run: run)

  /// - Throws: `DatasetError` if it is not finished, or damaged.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    let dataset = try PreparedDataset(directory: arguments.positional(0) ?? "")
    for part in dataset.description.sets { _ = try dataset.source(part.name) }
    try Console.print(arguments.has("json") ? json(dataset).prettyText : text(dataset))
    return ExitCode.success
  }

  /// The summary.
  static func text(_ dataset: PreparedDataset) -> String {
    let description = dataset.description
    let statistics = dataset.statistics
    var lines = [
      "\(dataset.directory): \(description.classes.count) classes, "
        + description.shape.map(String.init).joined(separator: "x") + ", "
        + (description.quality.map { "JPEG of quality \($0)" } ?? "raw")
        + ", fingerprint \(String(dataset.fingerprint, radix: 16))"
    ]
    for part in description.sets {
      let counts = dataset.counts(part.name)
      let (least, most) = (counts.min() ?? 0, counts.max() ?? 0)
      lines.append(
        "\(part.name): \(part.examples) examples in \(part.shards) "
          + "shard\(part.shards == 1 ? "" : "s"), "
          + (least == most ? "\(least)" : "\(least) to \(most)") + " of a class"
          + (part.skipped > 0 ? "; \(part.skipped) could not be read (skipped.tsv)" : ""))
    }
    func row(_ name: String, _ values: [Double], _ decimals: Int) -> String {
      name + values.map { Numbers.fixed($0, decimals) }.joined(separator: ", ")
    }
    lines.append("statistics of the training set, by channel:")
    lines.append(row("  mean          ", statistics.channelMean, 2) + " of 255")
    lines.append(row("                ", statistics.channelMean.map { $0 / 255 }, 4) + " of 1")
    lines.append(row("  deviation     ", statistics.channelDeviation, 2) + " of 255")
    lines.append(
      row("                ", statistics.channelDeviation.map { $0 / 255 }, 4) + " of 1")
    if let colors = statistics.colors {
      lines.append("principal components of RGB, with their deviation:")
      for (variance, direction) in zip(colors.variances, colors.directions) {
        lines.append(
          row("  ", (0..<3).map { direction[$0] }, 4)
            + "   \(Numbers.fixed(variance.squareRoot(), 2)) of 255")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The same and the number of examples of each class, for programs.
  static func json(_ dataset: PreparedDataset) -> JSONValue {
    let description = dataset.description
    func numbers(_ values: [Double]) -> JSONValue { .array(values.map { .double($0) }) }
    func object(_ members: [(String, JSONValue)]) -> JSONValue {
      .object(members.map { JSONValue.Member($0.0, $0.1) })
    }
    let sets = description.sets.map { part in
      object([
        ("name", .string(part.name)), ("examples", .int(part.examples)),
        ("shards", .int(part.shards)), ("skipped", .int(part.skipped)),
        ("classCounts", .array(dataset.counts(part.name).map { .int($0) })),
      ])
    }
    return object([
      ("path", .string(dataset.directory)),
      ("fingerprint", .string(String(dataset.fingerprint, radix: 16))),
      ("classes", .array(description.classes.map { .string($0) })),
      ("shape", .array(description.shape.map { .int($0) })),
      ("encoding", .string(description.encoding.rawValue)),
      ("quality", description.quality.map { .int($0) } ?? .null),
      ("sets", .array(sets)),
      (
        "statistics",
        object([
          ("channelMean", numbers(description.statistics.channelMean)),
          ("channelDeviation", numbers(description.statistics.channelDeviation)),
          ("colorVariances", numbers(description.statistics.colorVariances)),
          ("colorDirections", .array(description.statistics.colorDirections.map(numbers))),
        ])
      ),
    ])
  }
}
