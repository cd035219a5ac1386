import Nodes
import Observability
import Transport

/// `crosscut health`: the health check of containers and of whoever else asks every few seconds.
enum HealthCommand {
  static let command = Command(
    words: ["health"],
    summary: "check that a server answers and that its run has not failed",
    details: [
      "Prints the run's state in one line and ends within two seconds, whatever happens: made for"
        + " health checks."
    ],
    positionals: [.observedRun],
    options: [.observedServer, .keyFile, .join],
    examples: [
      Example(
        line: "crosscut health", meaning: "On the machine or in the container of the server."),
      Example(
        line: "crosscut health --server tcp://10.0.0.1:5555",
        meaning: "From anywhere: is the server there, and can it be reached?"),
    ],
    exitCodes: [
      ExitCode(code: ExitCode.success, meaning: "The server answered; its run has not failed."),
      ExitCode(code: ExitCode.failure, meaning: "The run has failed, or no server answered."),
      ExitCode(code: ExitCode.usage, meaning: "The command line is wrong."),
    ],
    run: run)

  /// - Throws: why there is no answer.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    let credentials = try arguments.credentials()
    let endpoint = try arguments.serverAddress(credentials, standard: Endpoint.standardServer)
    let context = try Context.ofProcess()
    let client = try StatusClient(context: context, endpoint: endpoint, credentials: credentials)
    let record = try client.status()
    try Console.print(line(record) + "\n")
    return exitCode(record)
  }

  static func exitCode(_ record: StatusRecord) -> Int32 {
    record.state == .failed ? ExitCode.failure : ExitCode.success
  }

  /// "running: step 812 of 2814".
  static func line(_ record: StatusRecord) -> String {
    let steps = record.totalSteps > 0 ? "step \(record.step) of \(record.totalSteps)" : ""
    let facts = [steps, record.message].filter { !$0.isEmpty }
    return record.state.rawValue + (facts.isEmpty ? "" : ": " + facts.joined(separator: ", "))
  }
}
