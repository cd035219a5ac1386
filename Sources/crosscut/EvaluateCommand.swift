/// `crosscut evaluate`: the test accuracy of a trained model.
enum EvaluateCommand {
  static let command = Command(
    words: ["evaluate"],
    summary: "compute the test loss and accuracy of a trained model",
    positionals: [
      Positional(
        name: "RUN_OR_MODEL",
        help: "A run directory, or a .safetensors file with torchvision's parameter names.",
        isRequired: true),
      Positional(
        name: "CONFIG",
        help:
          "What the model was trained with, a file or a preset; a run directory knows it by itself."
      ),
    ],
    options: [.set, .json],
    examples: [
      Example(line: "crosscut evaluate runs/latest", meaning: "The model of the last run."),
      Example(
        line: "crosscut evaluate model.safetensors fashion",
        meaning: "A file from elsewhere, on the preset's data."),
    ],
    run: run)

  /// - Throws: `ConfigurationError`, or why the model cannot be read.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    throw NotInThisBuild(command: "evaluate")
  }
}
