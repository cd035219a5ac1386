import Configuration
import Nodes
import Observability

/// `crosscut audit`: what a run's ledger proves.
enum AuditCommand {
  static let command = Command(
    words: ["audit"],
    summary: "prove from a run's ledger that every example was applied exactly once",
    details: [
      "Reads ledger.jsonl of the run directory: every step that was applied, by whose shares of the"
        + " global batch, and every time the run went back to a checkpoint or was resumed. Names"
        + " each step and row that is missing, doubled or out of order. A run that is going on can"
        + " be audited too."
    ],
    positionals: [
      Positional(name: "RUN", help: "A run directory, or a ledger.jsonl.", isRequired: true)
    ],
    options: [.json],
    examples: [
      Example(line: "crosscut audit runs/first", meaning: "Was anything lost when a node died?")
    ],
    exitCodes: [
      ExitCode(code: ExitCode.success, meaning: "Every example of every step was applied once."),
      ExitCode(
        code: ExitCode.failure,
        meaning: "Something is wrong, or the ledger is not there or cannot be read."),
      ExitCode(code: ExitCode.usage, meaning: "The command line is wrong."),
    ],
    run: run)

  /// - Throws: `NodeError` if there is no ledger, or it cannot be read.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    var path = arguments.positional(0) ?? ""
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    if !path.hasSuffix(".jsonl") { path += "/ledger.jsonl" }
    guard let text = try RunDirectory.contents(of: path) else {
      throw NodeError("\(path): there is no ledger")
    }
    let audit = LedgerAudit(text, name: path)
    try Console.print(arguments.has("json") ? json(audit).prettyText : report(audit, path))
    return audit.findings.isEmpty ? ExitCode.success : ExitCode.failure
  }

  /// For people.
  static func report(_ audit: LedgerAudit, _ path: String) -> String {
    func count(_ number: some BinaryInteger, _ noun: String, _ plural: String? = nil) -> String {
      "\(number) \(number == 1 ? noun : plural ?? noun + "s")"
    }
    var lines = [path]
    let batches = (audit.globalBatches.isEmpty ? [audit.globalBatch] : audit.globalBatches).map {
      "\($0)"
    }
    lines.append(
      "  \(count(audit.steps - min(audit.steps, audit.firstStep), "step")) of "
        + "\(batches.joined(separator: " and ")) examples"
        + (audit.firstStep > 0
          ? ", after the first \(audit.firstStep), which another ledger has" : ""))
    if let all = audit.trainingExamples, all > 0 {
      let epochs = (Double(audit.examples) / Double(all) * 100).rounded() / 100
      lines.append(
        "  \(epochs) passes over \(all) examples, data set \(audit.datasetFingerprint ?? "?")")
    }
    lines.append(
      "  \(count(audit.lives, "server life", "server lives")), "
        + "\(count(audit.workers, "worker life", "worker lives")), "
        + "shares cut \(count(audit.cuts, "time"))")
    if audit.discarded > 0 || audit.goingsBack > 0 {
      lines.append(
        "  went back to a checkpoint \(count(audit.goingsBack, "time")); by that and by resumes "
          + "\(count(audit.discarded, "step")) were given up and done again")
    }
    if !audit.skipped.isEmpty {
      let steps = audit.skipped.map { "\($0)" }.joined(separator: ", ")
      lines.append("  passed over by everybody, with numbers that were not finite: step \(steps)")
    }
    if let ended = audit.ended { lines.append("  ended: \(ended)") }
    if audit.findings.isEmpty {
      lines.append(
        audit.skipped.isEmpty
          ? "every example of every step was applied exactly once"
          : "every example of every other step was applied exactly once")
    } else {
      lines += audit.findings
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The same as JSON; keys are only ever added.
  static func json(_ audit: LedgerAudit) -> JSONValue {
    func number(_ value: UInt64) -> JSONValue { .int(Int(clamping: value)) }
    return .object([
      .init("good", .bool(audit.findings.isEmpty)), .init("firstStep", number(audit.firstStep)),
      .init("steps", number(audit.steps)), .init("globalBatch", .int(audit.globalBatch)),
      .init("trainingExamples", audit.trainingExamples.map(number) ?? .null),
      .init("datasetFingerprint", audit.datasetFingerprint.map(JSONValue.string) ?? .null),
      .init("lives", .int(audit.lives)), .init("workers", .int(audit.workers)),
      .init("cuts", .int(audit.cuts)), .init("goingsBack", .int(audit.goingsBack)),
      .init("discarded", .int(audit.discarded)),
      .init("skipped", .array(audit.skipped.map(number))),
      .init("ended", audit.ended.map(JSONValue.string) ?? .null),
      .init("findings", .array(audit.findings.map(JSONValue.string))),
    ])
  }
}
