import Configuration
import Nodes

/// `crosscut replay`: what the flight recorders of a run's processes have kept.
enum ReplayCommand {
  static let command = Command(
    words: ["replay"],
    summary: "show what a run's processes did last, and replay it",
    details: [
      "Every process of a run keeps the headers of its last messages, some megabytes of them, in"
        + " RUN/flight, also when it is killed. This shows them on one time line: views, who came"
        + " and went, turns and pauses. Then it feeds them to the same protocol code in one process,"
        + " with zeros for tensors, and says where that decides otherwise than the process did.",
      "A worker or FC node is replayed from the first view that is kept; a server only if its"
        + " beginning is. Where something differs that was done before the run's configuration was"
        + " written anew, that is named as the reason and is no fault. Processes on other machines keep"
        + " theirs where --record says.",
    ],
    positionals: [
      Positional(name: "RUN", help: "The run's directory; by itself the newest one under runs/.")
    ],
    options: [
      Option(
        name: "seconds", value: .number("S", atLeast: 0),
        help: "Show only what happened in so many seconds before the end.", standard: "all"),
      Option(name: "messages", help: "Show every message."),
    ],
    examples: [
      Example(line: "crosscut replay", meaning: "The newest run."),
      Example(
        line: "crosscut replay runs/mine --seconds 2 --messages",
        meaning: "Its last two seconds, message by message."),
    ],
    exitCodes: [
      ExitCode(code: ExitCode.success, meaning: "Every replay decides as the process did."),
      ExitCode(
        code: ExitCode.failure,
        meaning: "One does not, or a file is damaged, or there is nothing to replay."),
      ExitCode(code: ExitCode.usage, meaning: "The command line is wrong."),
    ],
    run: run)

  /// - Throws: `NodeError` if there is nothing to replay; `ConfigurationError`.
  private static func run(_ arguments: ParsedArguments) throws -> Int32 {
    let directory = RunDirectory(existing: try RunFolders.find(arguments.positional(0)))
    let configuration = try RunConfiguration.load(directory.configuration, overrides: [])
    var rings: [FlightRing] = []
    var isSound = true
    for name in Folders.names(in: directory.flight) where name.hasSuffix(".flight") {
      do throws(NodeError) {
        rings.append(try FlightRing(path: "\(directory.flight)/\(name)"))
      } catch {
        isSound = false
        Console.printError("crosscut: \(error)")
      }
    }
    guard !rings.isEmpty else { throw NodeError("\(directory.flight): nothing to replay there") }
    let timeline = FlightTimeline(rings, withMessages: arguments.has("messages"))
    let ends = rings.compactMap { ring in ring.records.last.map { $0.time &+ ring.clockOffset } }
    let end = ends.max() ?? 0
    let span = arguments.number("seconds").map { UInt64(min($0, 1e9) * 1_000_000) } ?? end
    let shown = timeline.entries.filter { $0.time >= end - min(end, span) }
    let width = shown.map(\.node.count).max() ?? 0
    for entry in shown {
      let pad = String(repeating: " ", count: width - entry.node.count)
      try Console.print("\(FlightTimeline.clock(entry.time))  \(entry.node)\(pad)  \(entry.text)\n")
    }
    try Console.print("\n")
    for ring in rings {
      let finding = FlightReplay.run(
        ring, configuration, configuredAt: directory.configuredAt)
      if finding.difference != nil || ring.damage != nil { isSound = false }
      try Console.print(line(ring, finding) + "\n")
    }
    return isSound ? ExitCode.success : ExitCode.failure
  }

  /// "worker 1 (process 4711): 8123 records; replayed 411 decisions, all as they were".
  private static func line(_ ring: FlightRing, _ finding: FlightReplay.Finding) -> String {
    var text = "\(ring.name) (process \(ring.processID)): \(ring.records.count) records"
    if ring.isCut { text += ", older ones overwritten" }
    if let damage = ring.damage { text += ", \(damage)" }
    if let hindrance = finding.hindrance { return text + "; not replayed: \(hindrance)" }
    guard let difference = finding.difference else {
      return text + "; replayed \(finding.agreeing) decisions, all as they were"
    }
    return text + "; replayed \(finding.agreeing) decisions as they were, then \(difference)"
  }
}
