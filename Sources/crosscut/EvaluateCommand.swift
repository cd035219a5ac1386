import Configuration
import Glibc
import Nodes
import Training

/// `crosscut evaluate`: the test accuracy of a trained model.
enum EvaluateCommand {
  static let command = Command(
    words: ["evaluate"],
    summary: "compute the test loss and accuracy of a trained model",
    positionals: [
      Positional(
        name: "RUN_OR_MODEL",
        help:
          "A run directory, a checkpoint, or a .safetensors file with torchvision's parameter names.",
        isRequired: true),
      Positional(
        name: "CONFIG",
        help:
          "What the model was trained with, a file or a preset; a run directory knows it by itself."
      ),
    ],
    options: [
      .set, .json,
      Option(
        name: "ten-crop",
        help: "Average the predictions of five crops and their mirror images, as the 2012 paper."),
    ],
    examples: [
      Example(
        line: "crosscut evaluate runs/20261123-120000-fashion",
        meaning: "The model that a run has left."),
      Example(
        line: "crosscut evaluate model.safetensors fashion",
        meaning: "A file from elsewhere, on the preset's data."),
    ],
    run: run)

  /// - Throws: `ConfigurationError`, or why the model cannot be read.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    let place = arguments.positional(0) ?? ""
    let (model, configuration) = try locate(
      place, configuration: arguments.positional(1),
      overrides: arguments.configurationOverrides, command: "evaluate")
    let evaluation =
      arguments.has("ten-crop")
      ? try ModelEvaluation(tenCropsOf: model, configuration, threads: Host.cores)
      : try ModelEvaluation(of: model, configuration, threads: Host.cores)
    for line in evaluation.broken { Console.printError("crosscut: \(line)") }
    try Console.print(
      arguments.has("json")
        ? json(evaluation, model, configuration.dataset).prettyText
        : text(evaluation, model, configuration.dataset))
    return ExitCode.success
  }

  /// The model file and the configuration that the arguments mean.
  ///
  /// - Throws: `UsageError` for a model file without a configuration, `ConfigurationError` for one
  ///   that cannot be used.
  static func locate(
    _ place: String, configuration name: String?, overrides: [ConfigurationOverride],
    command: String
  ) throws -> (model: String, configuration: RunConfiguration) {
    var status = stat()
    guard stat(place, &status) == 0 else {
      throw TrainingError("\(place): \(String(cString: strerror(errno)).lowercased())")
    }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      guard let name else {
        throw UsageError(
          command: command,
          message:
            "a model file needs \(command == "evaluate" ? "the CONFIG" : "the --config") it was"
            + " trained with, e.g. fashion")
      }
      return (place, try .load(name, overrides: overrides))
    }
    let folder = place.count > 1 && place.hasSuffix("/") ? String(place.dropLast()) : place
    // A checkpoint stands in its run's folder of checkpoints.
    let isCheckpoint = access("\(folder)/\(CheckpointManifest.fileName)", F_OK) == 0
    let configuration = try RunConfiguration.load(
      name ?? (isCheckpoint ? "\(folder)/../../config.json" : "\(folder)/config.json"),
      overrides: overrides)
    let model = "\(folder)/model.safetensors"
    guard access(model, F_OK) == 0 else {
      throw TrainingError(
        "\(folder): there is no model.safetensors: the run has not ended well; its checkpoints"
          + " (crosscut checkpoint list) may be given instead")
    }
    return (model, configuration)
  }

  private static func text(
    _ evaluation: ModelEvaluation, _ model: String, _ dataset: DatasetConfiguration
  ) -> String {
    """
    \(model)
      data            \(dataset.kind): \(dataset.title)
      test loss       \(Numbers.fixed(evaluation.loss, 4))
      top-1 accuracy  \(Numbers.fixed(evaluation.accuracy * 100, 2)) %  (\(evaluation.top1) of \
    \(evaluation.examples))
      top-5 accuracy  \(Numbers.fixed(evaluation.top5Accuracy * 100, 2)) %  (\(evaluation.top5) of \
    \(evaluation.examples))
      speed           \(Numbers.fixed(evaluation.imagesPerSecond, 0)) images/s

    """
  }

  private static func json(
    _ evaluation: ModelEvaluation, _ model: String, _ dataset: DatasetConfiguration
  ) -> JSONValue {
    .object([
      .init("model", .string(model)), .init("dataset", .string(dataset.kind)),
      .init("examples", .int(evaluation.examples)),
      .init("loss", .double(evaluation.loss)), .init("top1Accuracy", .double(evaluation.accuracy)),
      .init("top5Accuracy", .double(evaluation.top5Accuracy)),
      .init("imagesPerSecond", .double(evaluation.imagesPerSecond)),
      .init("brokenExamples", .int(evaluation.broken.count)),
    ])
  }
}
