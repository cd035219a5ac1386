import Configuration
import Messages
import Nodes
import Observability
import Transport

/// What `worker`, `fc` and `server` have in common: one role, in the foreground, logging to
/// standard error.
enum NodeCommand {
  /// Runs a worker or an FC node to the end of its run.
  static func runMember(_ role: Role, _ arguments: ParsedArguments) throws -> Int32 {
    let signals = try Signals()
    try ParentDeath.watchIfChild()
    var options = MemberOptions(role: role, server: arguments.string("server") ?? "")
    try Endpoint.check(
      options.server, written: arguments.label("server"),
      command: arguments.command.name)
    if role == .fc, let listen = arguments.string("listen") { options.listen = listen }
    options.preferredRank = arguments.integer("rank-hint") ?? -1
    let log = Logger(descriptor: 2, name: role.rawValue, level: level(arguments))
    let context = try Context()
    let stop: Stop
    do {
      stop = try MemberSession.runToEnd(
        context: context, options: options, log: log, signals: signals)
    } catch {
      context.terminate()
      throw error
    }
    context.terminate()
    log.info("\(stop.outcome.rawValue): \(stop.reason)")
    return stop.outcome == .failed ? ExitCode.failure : ExitCode.success
  }

  static func level(_ arguments: ParsedArguments) -> Logger.Level {
    arguments.has("verbose") ? .debug : .info
  }
}

/// Addresses as people type them.
enum Endpoint {
  /// Where a server on this machine listens if nothing else is said.
  static let standardServer = "tcp://127.0.0.1:5555"

  /// Refuses what cannot be an address before a socket is opened.
  ///
  /// - Parameter written: the option or variable it comes from.
  static func check(_ text: String, written: String, command: String) throws(UsageError) {
    let parts = text.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
    func fail(_ why: String) -> UsageError {
      UsageError(command: command, message: "\(written) \"\(text)\": \(why)")
    }
    guard parts.count == 2 else {
      throw fail("expected an address like tcp://host:5555")
    }
    guard ["tcp", "ipc"].contains(parts[0]) else {
      throw fail("\(parts[0]):// is not supported; use tcp://host:port or ipc://path")
    }
    guard parts[0] == "tcp" else { return }
    guard let colon = parts[1].lastIndex(of: ":"), colon > parts[1].startIndex,
      let port = Int(parts[1][parts[1].index(after: colon)...]), (0...65_535).contains(port)
    else { throw fail("expected a host and a port, like tcp://host:5555") }
  }
}
