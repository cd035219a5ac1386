import Glibc
import Nodes
import Observability

/// `crosscut compare`: runs side by side.
enum CompareCommand {
  static let command = Command(
    words: ["compare"],
    summary: "compare runs: a table, and their curves as SVG",
    positionals: [
      Positional(
        name: "RUN", help: "Run directories, or metrics.jsonl files.", isRequired: true,
        isRepeated: true)
    ],
    options: [
      Option(
        name: "svg", value: .text("FILE"), help: "Draw loss and accuracy into this file.",
        standard: "no drawing")
    ],
    examples: [
      Example(
        line: "crosscut compare runs/* --svg curves.svg",
        meaning: "All runs here; a browser shows the curves.")
    ],
    run: run)

  /// - Throws: `NodeError` or `ObservabilityError` if a run cannot be read or the file not written.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    var runs: [RunComparison.Run] = []
    for place in arguments.positionals {
      if let run = try read(place) {
        runs.append(run)
      } else {
        Console.printError("crosscut: \(place): left out, it has no metrics")
      }
    }
    guard !runs.isEmpty else { throw NodeError("none of these has metrics") }
    let comparison = RunComparison(runs)
    try Console.draw(
      comparison.table(
        columns: Console.isTerminal ? Console.width : 10_000, color: Console.hasColor))
    if let path = arguments.string("svg") {
      try write(comparison.svg(), to: path)
      try Console.print("curves: \(path)\n")
    }
    return ExitCode.success
  }

  /// A run by its directory or its file; `nil` for a directory that has none.
  static func read(_ place: String) throws -> RunComparison.Run? {
    let path = place.count > 1 && place.hasSuffix("/") ? String(place.dropLast()) : place
    let file = path.hasSuffix(".jsonl") ? path : path + "/metrics.jsonl"
    guard let text = RunDirectory.text(of: file) else {
      if errno == ENOENT, file != path, RunDirectory.exists(path) { return nil }
      throw NodeError("\(file): cannot be read: \(String(cString: strerror(errno)).lowercased())")
    }
    let parts = path.split(separator: "/")
    let name = parts.last == "metrics.jsonl" ? parts.dropLast().last ?? "" : parts.last ?? ""
    return .init(name: String(name), metrics: try MetricsFile(text, name: file))
  }

  private static func write(_ text: String, to path: String) throws(NodeError) {
    guard let file = fopen(path, "wb") else {
      throw NodeError("\(path): \(String(cString: strerror(errno)).lowercased())")
    }
    let written = fwrite(text, 1, text.utf8.count, file)
    guard fclose(file) == 0, written == text.utf8.count else {
      throw NodeError("\(path): \(String(cString: strerror(errno)).lowercased())")
    }
  }
}
