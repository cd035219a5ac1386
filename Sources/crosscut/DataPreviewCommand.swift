import Configuration
import Datasets
import Training
import Tensors

/// `crosscut data preview`: a picture of what training makes of a data set's examples.
enum DataPreviewCommand {
  private static let rows = 8
  private static let columns = 8

  static let command = Command(
    words: ["data", "preview"],
    summary: "draw a sheet of augmented examples, as the network sees them",
    details: [
      "A row for each of some examples: first its center, as evaluation sees it, then its random"
        + " crops, mirrored or not and shifted in colour, of the first epochs.",
      "DIR is a prepared data set, or anything that crosscut data prepare reads.",
    ],
    positionals: [
      Positional(name: "DIR", help: "The data set; or --config.")
    ],
    options: [
      Option(
        name: "out", short: "o", value: .text("FILE"), help: "The PNG file to write.",
        isRequired: true),
      Option(
        name: "crop", value: .integer("PIXELS", 1...(1 << 14)),
        help: "Side of what the network sees.", standard: "224 of 256, else all"),
      Option(
        name: "padding", value: .integer("PIXELS", 0...4096),
        help: "Pixels of nothing on each side before the crop.", standard: "0"),
      Option(
        name: "color-noise", value: .number("SIGMA", atLeast: 0),
        help: "Shift of colours along their principal components.", standard: "0.1; grey: none"),
      Option(name: "no-flip", help: "Mirror none."),
      Option(
        name: "config", value: .text("CONFIG"),
        help: "The data set and the augmentation of a configuration, a file or a preset."),
      .set, .seed,
    ],
    examples: [
      Example(
        line: "crosscut data preview /data/imagenet --out sheet.png",
        meaning: "224x224 crops with the 2012 paper's augmentation."),
      Example(
        line: "crosscut data preview --config my.json5 --out sheet.png",
        meaning: "What a run of this configuration trains on."),
    ],
    run: run)

  /// - Throws: `DatasetError` if the data cannot be read, `UsageError` or `ConfigurationError` for
  ///   what is asked for and cannot be.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    // A configuration that stands in the environment is for other commands if there is a folder.
    let isMeant = arguments.positional(0) == nil || !arguments.isInherited("config")
    let (source, views, seed) =
      try (isMeant ? arguments.string("config") : nil).map { try configured($0, arguments) }
      ?? pictures(arguments)
    let count = min(rows, source.count)
    let sheet = try ContactSheet.png(
      of: source, views: views, seed: arguments.integer("seed").map { UInt64($0) } ?? seed,
      examples: (0..<count).map { $0 * source.count / count }, columns: columns)
    let file = arguments.string("out") ?? ""
    try ContactSheet.write(sheet, to: file)
    try Console.print(
      "\(file): \(count) of \(source.count) examples, \(columns) views each,"
        + " \(views.output[1])x\(views.output[2])\n")
    return ExitCode.success
  }

  /// The training set of a configuration, varied as it says.
  private static func configured(
    _ name: String, _ arguments: ParsedArguments
  ) throws -> (any ExampleSource, ViewMaker, seed: UInt64) {
    let own = ["crop", "padding", "color-noise", "no-flip"].filter(arguments.has)
    guard arguments.positional(0) == nil, own.isEmpty else {
      throw UsageError(
        command: command.name,
        message: "\(own.first.map { "--\($0)" } ?? "DIR") and --config exclude each other: the"
          + " configuration names the data set and says how it is varied")
    }
    let configuration = try RunConfiguration.load(
      name, overrides: arguments.configurationOverrides)
    let data = try OpenDataset(RunContext(configuration))
    var views = data.views
    views.normalization = greyLevels(channels: data.pair.train.shape[0])
    return (data.pair.train, views, configuration.seed)
  }

  /// The data set in a folder, varied as the options say.
  private static func pictures(
    _ arguments: ParsedArguments
  ) throws -> (any ExampleSource, ViewMaker, seed: UInt64) {
    guard let path = arguments.positional(0) else {
      throw UsageError(
        command: command.name, message: "DIR is missing: a data set, or --config CONFIG")
    }
    let source: any ExampleSource
    let statistics: ImageStatistics
    if PreparedDataset.isPrepared(path) {
      let dataset = try PreparedDataset(directory: path)
      source = try dataset.source("train")
      statistics = dataset.statistics
    } else {
      source = try PreparationSource.open(path, size: 256).training
      statistics = try .measured(over: source, most: 1000)
    }
    let (height, width) = (source.shape[1], source.shape[2])
    let crop =
      arguments.integer("crop")
      ?? (height == 256 && width == 256 ? 224 : min(height, width))
    var augmentation = Augmentation()
    augmentation.flip = !arguments.has("no-flip")
    augmentation.padding = arguments.integer("padding") ?? 0
    augmentation.colorNoise = arguments.number("color-noise") ?? (source.shape[0] == 3 ? 0.1 : 0)
    let most = min(height, width) + 2 * augmentation.padding
    guard crop <= most else {
      throw UsageError(
        command: command.name,
        message: "--crop \(crop): the pictures are \(height)x\(width), with their padding at most"
          + " \(most)x\(most) can be seen")
    }
    let channels = source.shape[0]
    let views = try ViewMaker(
      source: source.shape, output: Shape(channels, crop, crop), augmentation: augmentation,
      normalization: greyLevels(channels: channels), colors: statistics.colors)
    return (source, views, 1)
  }

  /// People see pictures, not deviations from a mean.
  private static func greyLevels(channels: Int) -> Datasets.Normalization {
    Datasets.Normalization(
      mean: Array(repeating: 0, count: channels),
      standardDeviation: Array(repeating: 1 / 255, count: channels))
  }
}
