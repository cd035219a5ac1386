import Configuration
import Messages
import Nodes
import Observability
import Transport

/// What `worker`, `fc` and `server` have in common: one role, in the foreground, logging to
/// standard error.
enum NodeCommand {
  /// Runs a worker, an FC node, a server shard or several of them in this process to the end of
  /// their run.
  ///
  /// - Parameter place: what a shard by itself was told to be.
  static func runMembers(
    _ roles: [Role], _ arguments: ParsedArguments, place: ShardPlace? = nil
  ) throws -> Int32 {
    let level = level(arguments)
    let log = Logger(descriptor: 2, name: arguments.command.name, level: level)
    let patience =
      arguments.integer("join-timeout")
      ?? MemberOptions(role: .worker, server: "").joinTimeoutSeconds
    let credentials = try arguments.credentials(waiting: patience) { log.info($0) }
    let server = try arguments.serverAddress(
      credentials, option: place == nil ? "server" : "coordinator")
    var members: [MemberOptions] = []
    for role in roles {
      var options = MemberOptions(role: role, server: server)
      options.joinTimeoutSeconds = patience
      if role.holdsParameters {
        options.listen = try Endpoint.listening(
          arguments, standard: ("tcp://*:0", "tcp://127.0.0.1:0"), isSecure: credentials != nil,
          staysHere: Endpoint.isLocal(server), remedy: "--key-file FILE or --join TOKEN")
      }
      options.preferredRank = place?.rank ?? arguments.integer("rank-hint") ?? -1
      options.serverShards = place?.count
      options.allowsDrills = arguments.has("allow-drills")
      options.flightFolder = arguments.string("record")
      members.append(options)
    }
    let signals = try Signals()
    try ParentDeath.watchIfChild()
    let context = try Context()
    let stop: Stop
    do {
      if let credentials {
        let security = try KeyRequest.run(
          context: context, endpoint: server, credentials: credentials,
          timeoutSeconds: patience, signals: signals, log: log)
        guard let security else {
          context.terminate()
          log.info("interrupted before the server answered")
          return ExitCode.success
        }
        for index in members.indices { members[index].security = security }
      }
      if members.count == 1 {
        stop = try MemberSession.runToEnd(
          context: context, options: members[0], log: log, signals: signals)
      } else {
        stop = try MemberGroup.runToEnd(
          context: context,
          parts: members.map {
            MemberGroup.Part(
              options: $0, log: Logger(descriptor: 2, name: $0.role.rawValue, level: level))
          }, signals: signals)
      }
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
