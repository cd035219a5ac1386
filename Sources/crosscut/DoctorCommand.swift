import Configuration
import Datasets
import Messages
import Nodes
import Observability
import Training
import Transport

/// `crosscut doctor`: is this machine fit for a node?
enum DoctorCommand {
  static let command = Command(
    words: ["doctor"],
    summary: "check this machine, and the way to a server, and say what to do",
    details: [
      "Looks at cores, memory, limits of the container, instructions, libraries, clock and disk; with"
        + " CONFIG at its data set; with --server or --join at the server: is it there, does it let"
        + " this machine in, is its data set this one, do the clocks agree, how fast is the way to it"
        + " and to its FC nodes. It takes about ten seconds and changes nothing."
    ],
    positionals: [
      Positional(name: "CONFIG", help: "Also open the data set of this configuration or preset.")
    ],
    options: [
      Option(
        name: "server", value: .text("ENDPOINT"), help: "The parameter server to look at.",
        standard: "none, or the token's"),
      .keyFile, .join, .json,
    ],
    examples: [
      Example(
        line: "crosscut doctor --server tcp://10.0.0.1:5555",
        meaning: "Before a worker is started here: will it work, and how fast?")
    ],
    exitCodes: [
      ExitCode(code: ExitCode.success, meaning: "Nothing is wrong; there may be advice."),
      ExitCode(code: ExitCode.failure, meaning: "A node would not work here as it is."),
      ExitCode(code: ExitCode.usage, meaning: "The command line is wrong."),
    ],
    run: run)

  /// - Throws: `UsageError`, or if standard output cannot be written to.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    var findings = MachineCheck.findings()
    let credentials = try arguments.credentials()
    var facts: DatasetFacts?
    if let name = arguments.positional(0) {
      let (finding, found) = dataset(name)
      findings.append(finding)
      facts = found
    }
    if !arguments.has("server"), credentials == nil {
      findings.append(MachineCheck.port())
    } else {
      let endpoint = try arguments.serverAddress(credentials)
      let context = try Context()
      // A name lookup under way would hold up ZeroMQ's end; the process's end does not wait.
      _ = Unmanaged.passRetained(context)
      let (more, record) = ServerCheck.findings(
        context: context, endpoint: endpoint, credentials: credentials)
      findings += more
      if let facts, let record { findings += agreement(facts, record) }
    }
    try Console.print(arguments.has("json") ? json(findings) : text(findings))
    return findings.contains { $0.state == .bad } ? ExitCode.failure : ExitCode.success
  }

  /// Whether a worker here would be let in.
  static func agreement(_ facts: DatasetFacts, _ record: StatusRecord) -> [Finding] {
    guard let theirs = record.dataset else { return [] }
    guard theirs.fingerprint != Version.runName(facts.fingerprint) else {
      return [Finding("data agrees", .good, "it is the cluster's")]
    }
    return [
      Finding(
        "data agrees", .bad,
        "\(facts.trainingExamples) + \(facts.evaluationExamples) examples here, the cluster has others"
          + " (\(theirs.trainingExamples) + \(theirs.evaluationExamples))",
        advice: "copy the data set of a worker that is in the run, or check which path CONFIG names"
      )
    ]
  }

  private static func dataset(_ name: String) -> (Finding, DatasetFacts?) {
    do {
      let configuration = try RunConfiguration.load(name, overrides: [])
      let data = try OpenDataset(RunContext(configuration))
      let text = "\(data.pair.train.count) training and \(data.pair.test.count) test examples"
      return (Finding("data set", .good, text), data.facts)
    } catch {
      let advice = "every worker reads it at the path that the configuration names"
      return (Finding("data set", .bad, "\(error)", advice: advice), nil)
    }
  }

  static func text(_ findings: [Finding]) -> String {
    let width = findings.map(\.name.count).max() ?? 0
    return findings.map { finding in
      let mark =
        switch finding.state {
        case .good: "ok  "
        case .warning: "note"
        case .bad: "BAD "
        }
      let name = finding.name + String(repeating: " ", count: width - finding.name.count)
      let advice = finding.advice.isEmpty ? "" : "\n      \(finding.advice)"
      return "\(mark)  \(name)  \(finding.text)\(advice)\n"
    }.joined()
  }

  static func json(_ findings: [Finding]) -> String {
    let rows = findings.map { finding in
      JSONValue.object([
        .init("name", .string(finding.name)), .init("state", .string(finding.state.rawValue)),
        .init("text", .string(finding.text)), .init("advice", .string(finding.advice)),
      ])
    }
    return JSONValue.object([.init("findings", .array(rows))]).prettyText + "\n"
  }
}
