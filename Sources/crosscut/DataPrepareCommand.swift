import Configuration
import Datasets
import Glibc

/// `crosscut data prepare`: pictures to shards that training reads at random.
enum DataPrepareCommand {
  static let command = Command(
    words: ["data", "prepare"],
    summary: "make shards of pictures of one size, with their statistics",
    details: [
      "SOURCE is a folder with a folder of pictures for each class (JPEG, PNG), or with train and"
        + " test or val folders of that kind; or CIFAR's binary files, or IDX files. Pictures are"
        + " turned upright, scaled to a shorter side of --size and cut to the central square.",
      "DIR gets tar shards as WebDataset reads them, index.tsv with the place of each example,"
        + " mean.npy with the mean image, and dataset.json. Train with"
        + " --set 'dataset={kind: \"prepared\", path: \"DIR\"}'.",
      "Interrupted, the same command goes on from the last whole shard, and the result is the same,"
        + " byte by byte.",
    ],
    positionals: [Positional(name: "SOURCE", help: "Where the pictures are.", isRequired: true)],
    options: [
      Option(
        name: "out", short: "o", value: .text("DIR"), help: "The folder to write, new or begun.",
        isRequired: true),
      Option(
        name: "size", value: .integer("PIXELS", 1...(1 << 14)),
        help: "Side of the pictures; CIFAR's and IDX's stay as they are.", standard: "256"),
      Option(
        name: "encoding", value: .text("jpeg|raw"),
        help: "How examples are stored; raw takes about six times the space of JPEG.",
        standard: "jpeg for folders, else raw"),
      Option(
        name: "labels", value: .text("fine|coarse"),
        help: "CIFAR-100's 100 classes, or its 20 groups of them.", standard: "fine"),
      Option(
        name: "quality", value: .integer("Q", 1...100), help: "Of JPEG.", standard: "90"),
      Option(
        name: "shard-examples", value: .integer("N", 1...1_000_000),
        help: "Examples of a shard.", standard: "1000"),
      Option(
        name: "threads", short: "j", value: .integer("N", 1...1024),
        help: "Pictures decoded at a time.", standard: "one for each core"),
      Option(
        name: "strict", help: "Stop at a picture that cannot be read instead of leaving it out."),
    ],
    examples: [
      Example(
        line: "crosscut data prepare ~/imagenet --out /data/imagenet",
        meaning: "Folders train and val with a folder for each class."),
      Example(
        line: "crosscut data prepare ~/cifar --size 32 --encoding raw --out /data/cifar",
        meaning: "Small pictures, without loss."),
    ],
    run: run)

  /// - Throws: `DatasetError`, or `UsageError` for an unknown encoding.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    var options = Preparation.Options()
    options.threads =
      arguments.integer("threads") ?? max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    options.quality = arguments.integer("quality") ?? options.quality
    options.examplesPerShard = arguments.integer("shard-examples") ?? options.examplesPerShard
    options.isStrict = arguments.has("strict")
    let encoding = try encoding(arguments)
    let path = arguments.positional(0) ?? ""
    let directory = arguments.string("out") ?? ""
    let source = try PreparationSource.open(
      path, size: arguments.integer("size") ?? 256, labels: labels(arguments))
    options.encoding = encoding ?? (source.isPictures ? .jpeg : .raw)
    var preparation = try Preparation(source: source, options: options, directory: directory)
    try Console.print(
      "\(path): \(source.count) examples in \(source.classes.count) classes, \(source.shape) each\n"
    )
    let bar = PreparationBar()
    let report = try preparation.run(
      onProgress: { bar.show($0) },
      onSkip: { bar.note("left out: \($0)") })
    try Console.print(bar.summary(report, directory: directory))
    return ExitCode.success
  }

  private static func labels(
    _ arguments: ParsedArguments
  ) throws(UsageError) -> CIFARDataset.Labels {
    switch arguments.string("labels") {
    case nil, "fine": return .fine
    case "coarse": return .coarse
    case let word?:
      throw UsageError(
        command: arguments.command.name,
        message: "\(arguments.label("labels")) expects fine or coarse, not \"\(word)\"")
    }
  }

  private static func encoding(
    _ arguments: ParsedArguments
  ) throws(UsageError) -> PreparedDescription.Encoding? {
    guard let word = arguments.string("encoding") else { return nil }
    guard let encoding = PreparedDescription.Encoding(rawValue: word) else {
      throw UsageError(
        command: arguments.command.name,
        message: "\(arguments.label("encoding")) expects jpeg or raw, not \"\(word)\"")
    }
    return encoding
  }
}

/// How far a preparation is: a bar on a terminal, a line every few seconds where output is piped.
final class PreparationBar {
  private let isTerminal = Console.isTerminal
  private let start = ContinuousClock.now
  private var lastShown: Double?
  private var isOpen = false

  /// Seconds between bars, and between lines.
  private var interval: Double { isTerminal ? 0.2 : 10 }

  /// Shows it, unless it has just been shown.
  func show(_ report: Preparation.Report) {
    let seconds = elapsed
    guard lastShown.map({ seconds - $0 >= interval }) ?? true else { return }
    lastShown = seconds
    let text = Self.line(
      report, seconds: seconds, columns: isTerminal ? Console.terminalColumns - 1 : nil)
    write(isTerminal ? "\r\u{1B}[K" + text : text + "\n")
    isOpen = isTerminal
  }

  /// Shows a line that stays, on standard error.
  func note(_ text: String) {
    close()
    Console.printError(text)
  }

  /// What was done.
  func summary(_ report: Preparation.Report, directory: String) -> String {
    close()
    let new = report.done - report.resumed
    let rate = elapsed > 0 ? Double(new) / elapsed : 0
    return "\(report.done - report.skipped) examples in \(directory), \(report.skipped) left out"
      + (report.resumed > 0 ? ", \(report.resumed) of an earlier run" : "")
      + "; \(Numbers.fixed(elapsed, 1)) s, \(Numbers.fixed(rate, 0)) images/s, "
      + "\(Numbers.fixed(Double(report.bytes) / 1e6, 1)) MB written\n"
  }

  /// "[####----] 300 of 1000, 250 images/s, 2 left out, 3 s left", at most `columns` wide; without
  /// a bar where there are none.
  static func line(_ report: Preparation.Report, seconds: Double, columns: Int?) -> String {
    let new = report.done - report.resumed
    let rate = seconds > 0 ? Double(new) / seconds : 0
    var text = "\(report.done) of \(report.total)"
    if rate > 0, seconds >= 1 {
      text += ", \(Numbers.fixed(rate, rate < 10 ? 1 : 0)) images/s"
    }
    if report.skipped > 0 { text += ", \(report.skipped) left out" }
    if rate > 0, seconds >= 1, report.done < report.total {
      text += ", \(duration(Double(report.total - report.done) / rate)) left"
    }
    guard let columns, report.total > 0 else { return text }
    let cells = min(40, columns - text.count - 3)
    guard cells >= 8 else { return String(text.prefix(columns)) }
    let full = cells * report.done / report.total
    return "[" + String(repeating: "#", count: full) + String(repeating: "-", count: cells - full)
      + "] " + text
  }

  private static func duration(_ seconds: Double) -> String {
    let whole = Int(seconds.rounded())
    if whole < 60 { return "\(whole) s" }
    return whole < 3600
      ? "\(whole / 60) min \(whole % 60) s" : "\(whole / 3600) h \(whole % 3600 / 60) min"
  }

  private var elapsed: Double {
    let (seconds, attoseconds) = (ContinuousClock.now - start).components
    return Double(seconds) + Double(attoseconds) * 1e-18
  }

  private func close() {
    guard isOpen else { return }
    write("\r\u{1B}[K")
    isOpen = false
  }

  /// A reader that has gone must not end a preparation.
  private func write(_ text: String) { _ = try? Console.draw(text) }
}
