import Glibc
import Nodes

/// `crosscut logs`: what the processes of a run on this machine have said.
enum LogsCommand {
  static let command = Command(
    words: ["logs"],
    summary: "show the last lines of a run's logs, or follow them",
    details: [
      "Reads the logs in the run directory, where crosscut train puts those of all its processes."
        + " Nodes that were started by hand log to their own terminals.",
      "With --server it asks the server, from any machine: each process keeps the last"
        + " 64 KiB of its log. A server with keys shows logs to those who have a node's key; one"
        + " without keys on its own machine only.",
    ],
    positionals: [
      Positional(
        name: "NODE", help: "\"server\", \"worker-1\", \"fc-0\"; all of them by itself.",
        isRepeated: true)
    ],
    options: [
      Option(
        name: "run-dir", value: .text("DIR"), help: "The run's directory.",
        standard: "the newest one under runs/"),
      Option(
        name: "server", value: .text("ENDPOINT"),
        help: "Ask this parameter server, instead of reading a run's directory."),
      .keyFile, .refusedJoin,
      Option(
        name: "lines", short: "n", value: .integer("N", 0...1_000_000),
        help: "How many of the last lines.", standard: "20"),
      Option(
        name: "follow", short: "f",
        help: "Show new lines as they come, until Ctrl-C; of a server, until the run's end."),
    ],
    examples: [
      Example(line: "crosscut logs", meaning: "The last 20 lines of the newest run."),
      Example(line: "crosscut logs worker-1 --follow", meaning: "What one worker says."),
      Example(
        line: "crosscut logs fc-0 --server tcp://10.0.0.1:5555 --key-file node.key",
        meaning: "Of a node on another machine."),
    ],
    run: run)

  /// - Throws: `NodeError` if there is no such run or log.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    if try asksServer(arguments) { return try RemoteLogs.run(arguments) }
    let folder = try RunFolders.find(arguments.string("run-dir"))
    let paths = try files(arguments.positionals, in: folder)
    var offsets: [String: Int] = [:]
    var lines: [Substring] = []
    let texts = paths.map { RunDirectory.text(of: $0) ?? "" }
    for (path, text) in zip(paths, texts) {
      // A line that is being written comes with its end.
      let whole = text.lastIndex(of: "\n").map { text[...$0] } ?? ""
      offsets[path] = whole.utf8.count
      lines += whole.split(separator: "\n")
    }
    // Each begins with its time; other lines, of libraries, stay where they are.
    let sorted = paths.count > 1 ? lines.sorted { $0.prefix(24) < $1.prefix(24) } : lines
    let last = sorted.suffix(arguments.integer("lines") ?? 20)
    try Console.print(last.map { "\($0)\n" }.joined())
    guard arguments.has("follow") else { return ExitCode.success }
    let signals = try Signals()
    while !signals.wait(milliseconds: 200) {
      for path in paths {
        guard let text = RunDirectory.text(of: path) else { continue }
        let bytes = Array(text.utf8)
        let start = min(offsets[path] ?? 0, bytes.count)
        guard let end = bytes[start...].lastIndex(of: 0x0A) else { continue }
        offsets[path] = end + 1
        guard try Console.print(String(decoding: bytes[start...end], as: UTF8.self)) else {
          return ExitCode.success
        }
      }
    }
    return ExitCode.success
  }

  /// What stands on the command line holds against the environment, a server against a directory.
  private static func asksServer(_ arguments: ParsedArguments) throws(UsageError) -> Bool {
    guard let way = ["server", "join"].first(where: arguments.has) else { return false }
    guard arguments.has("run-dir") else { return true }
    guard arguments.isInherited(way) || arguments.isInherited("run-dir") else {
      throw UsageError(command: "logs", message: "--run-dir and --\(way) exclude each other")
    }
    return !arguments.isInherited(way) || arguments.isInherited("run-dir")
  }

  /// The log files of the nodes named, or all.
  static func files(_ nodes: [String], in folder: String) throws(NodeError) -> [String] {
    let there = Folders.names(in: folder).filter { $0.hasSuffix(".log") }
    guard !there.isEmpty else { throw NodeError("\(folder): there are no logs") }
    var names: [String] = []
    for node in nodes {
      let name = node.replacing(" ", with: "-") + ".log"
      guard there.contains(name) else {
        throw NodeError(
          "\(folder) has no log of \"\(node)\"; there are "
            + there.map { "\($0.dropLast(4))" }.joined(separator: ", "))
      }
      names.append(name)
    }
    return (names.isEmpty ? there : names).map { "\(folder)/\($0)" }
  }
}
