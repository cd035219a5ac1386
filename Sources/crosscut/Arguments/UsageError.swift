/// A command line that cannot be understood, as one line: `crosscut train: unknown option ...`.
struct UsageError: Error, Hashable, CustomStringConvertible {
  /// "train", or "" before a command is known.
  let command: String
  let message: String

  var description: String {
    (command.isEmpty ? "crosscut" : "crosscut \(command)") + ": \(message)"
  }
}
