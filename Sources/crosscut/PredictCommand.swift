import Configuration
import Nodes
import Training

/// `crosscut predict`: the classes that a trained model sees in pictures.
enum PredictCommand {
  static let command = Command(
    words: ["predict"],
    summary: "print the most probable classes of pictures",
    details: [
      "Pictures are scaled and normalized as those of the data set that the model was trained on,"
        + " which must therefore be readable."
    ],
    positionals: [
      Positional(
        name: "IMAGE", help: "JPEG or PNG files.", isRequired: true, isRepeated: true)
    ],
    options: [
      Option(
        name: "model", value: .text("PATH"),
        help:
          "A run directory, a checkpoint, or a .safetensors file with torchvision's parameter names.",
        isRequired: true),
      Option(
        name: "config", value: .text("NAME"),
        help:
          "What the model was trained with, a file or a preset; a run directory knows it by itself."
      ),
      Option(
        name: "top", value: .integer("N", 1...1_000_000), help: "Classes to print.", standard: "5"),
      Option(
        name: "ten-crop",
        help: "Average the predictions of five crops and their mirror images, as the 2012 paper."),
      .set, .json,
    ],
    examples: [
      Example(
        line: "crosscut predict cat.jpg --model runs/20261123-120000-alexnet-owt",
        meaning: "Five classes with their probabilities."),
      Example(
        line: "crosscut predict *.jpg --model alexnet.safetensors --config my.json5 --json",
        meaning: "With torchvision's parameters, for programs to read."),
    ],
    exitCodes: [
      ExitCode(code: ExitCode.success, meaning: "All pictures could be read."),
      ExitCode(code: ExitCode.failure, meaning: "One could not, which is named; or it failed."),
      ExitCode(code: ExitCode.usage, meaning: "The command line or the configuration is wrong."),
    ],
    run: run)

  /// One picture's classes, most probable first.
  private struct Prediction {
    let path: String
    let classes: [(number: Int, name: String?, probability: Double)]
  }

  /// - Throws: `ConfigurationError`, or what cannot be read.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    let (model, configuration) = try EvaluateCommand.locate(
      arguments.string("model") ?? "", configuration: arguments.string("config"),
      overrides: arguments.configurationOverrides, command: "predict")
    // It would say nothing of how pictures are scaled and normalized, nor what the classes are.
    if case .synthetic = configuration.dataset {
      throw UsageError(
        command: "predict",
        message: "the configuration's data set is synthetic, which has no pictures; give the one"
          + " that the model was trained on: --set 'dataset={kind: \"folder\", path: \"DIR\"}'")
    }
    let inference = try ModelInference(
      of: model, configuration, pictures: arguments.positionals,
      tenCrops: arguments.has("ten-crop"), threads: Host.cores)
    let top = arguments.integer("top") ?? 5
    var predictions: [Prediction] = []
    try inference.forEach { example, _, probabilities in
      // Of equal ones the first.
      let order = probabilities.indices.sorted {
        (probabilities[$1], $0) < (probabilities[$0], $1)
      }
      predictions.append(
        Prediction(
          path: inference.pictures[example],
          classes: order.prefix(top).map { number in
            let names = inference.classNames ?? []
            return (number, number < names.count ? names[number] : nil, probabilities[number])
          }))
    }
    try Console.print(
      arguments.has("json") ? json(predictions).prettyText + "\n" : text(predictions))
    for refusal in inference.refusals { Console.printError("crosscut: \(refusal)") }
    return inference.refusals.isEmpty ? ExitCode.success : ExitCode.failure
  }

  private static func text(_ predictions: [Prediction]) -> String {
    predictions.map { prediction in
      let cells = prediction.classes.map {
        ["\(Numbers.fixed($0.probability * 100, 2)) %", "\($0.number)"]
      }
      let lines = zip(TextTable.lines(cells, leftColumns: 0), prediction.classes).map {
        "  \($0)" + ($1.name.map { "  \($0)" } ?? "")
      }
      return ([prediction.path] + lines).joined(separator: "\n") + "\n"
    }.joined()
  }

  private static func json(_ predictions: [Prediction]) -> JSONValue {
    .array(
      predictions.map { prediction in
        .object([
          .init("image", .string(prediction.path)),
          .init(
            "classes",
            .array(
              prediction.classes.map {
                .object([
                  .init("class", .int($0.number)),
                  .init("name", $0.name.map { .string($0) } ?? .null),
                  .init("probability", .double($0.probability)),
                ])
              })),
        ])
      })
  }
}
