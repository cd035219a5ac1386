package import Configuration
package import Messages
package import Observability
import Synchronization
package import Training
import Transport

/// A whole cluster in one process: the same roles as threads over inproc, for tests, for
/// `--in-process` and for `crosscut verify`.
package final class InProcessCluster: Sendable {
  /// How a member ended.
  package struct MemberEnd: Sendable {
    package let name: String
    package let outcome: Result<Stop, NodeError>
  }

  private let run: RunContext
  private let runDirectory: RunDirectory?
  private let resume: Checkpoint?
  private let goesOn: Bool
  private let makeLog: @Sendable (String) throws -> Logger
  private let probe: (any StepProbe)?
  private let observer: (any RunObserver)?
  private let onModel: (@Sendable (ModelTensors) -> Void)?
  /// Where the server also listens, for observers; `nil` for nowhere.
  private let listen: String?
  private let http: HTTPServer.Options?
  private let ends = Mutex<[MemberEnd]>([])
  private let serverCommands: Mailbox<String>
  /// For what comes from outside this process.
  private let security: ServerSecurity?

  /// - Parameters:
  ///   - inputs: what all nodes are given instead of finding it by the configuration.
  ///   - listen: the server's endpoint; `nil` keeps the cluster to itself (inproc).
  ///   - http: the server's web page; `nil` for none.
  ///   - security: keys, should `listen` be reachable from elsewhere.
  ///   - goesOn: whether the run was under way before in this run directory.
  ///   - probe: sees every gradient before it is applied.
  ///   - onModel: sees the trained parameters at the end, on the server's compute thread.
  ///   - log: makes the log of a node by its name.
  package init(
    _ configuration: RunConfiguration, inputs: RunInputs = RunInputs(), listen: String? = nil,
    http: HTTPServer.Options? = nil, security: ServerSecurity? = nil,
    runDirectory: RunDirectory? = nil, resume: Checkpoint? = nil, goesOn: Bool = false,
    probe: (any StepProbe)? = nil, observer: (any RunObserver)? = nil,
    onModel: (@Sendable (ModelTensors) -> Void)? = nil,
    log makeLog: @escaping @Sendable (String) throws -> Logger
  ) throws {
    run = try RunContext(configuration, inputs: inputs)
    self.makeLog = makeLog
    self.listen = listen
    self.http = http
    self.security = security
    self.runDirectory = runDirectory
    self.resume = resume
    self.goesOn = goesOn
    self.probe = probe
    self.observer = observer
    self.onModel = onModel
    serverCommands = try Mailbox()
  }

  /// Asks the run to end; may be called from any thread.
  package func stop(_ reason: String) { _ = serverCommands.post(reason) }

  /// Runs to the end.
  ///
  /// - Parameters:
  ///   - signals: end the run in order when one comes.
  ///   - page: called with the page's address, or `nil` if there is none.
  ///   - started: called with the server's endpoint once it listens.
  /// - Returns: how the run ended.
  /// - Throws: `NodeError` naming a member that failed, if the run failed with it.
  package func runToEnd(
    signals: Signals? = nil, page: (String?) throws -> Void = { _ in },
    started: (String) throws -> Void = { _ in }
  ) throws -> Stop {
    let context = try Context()
    defer { context.terminate() }
    var options = ServerOptions(
      listen: listen ?? "inproc://server", runDirectory: runDirectory, resume: resume,
      threads: threads(of: 1), http: http)
    options.security = security
    options.goesOn = goesOn
    var server = ServerLife(
      context: context, run: run, options: options,
      log: try makeLog("server"), commands: serverCommands, signals: signals, probe: probe,
      observer: observer, onModel: onModel)
    let cluster = run.configuration.cluster
    var threads: [OwnedThread] = []
    var members: [Mailbox<String>] = []
    let result = Result {
      try server.runToEnd(page: page) { endpoint in
        try started(endpoint)
        for (role, ranks, count) in [
          (Role.shard, 1..<cluster.serverShards, 1), (.fc, 0..<cluster.fcNodes, cluster.fcNodes),
          (.worker, 0..<cluster.workers, cluster.workers),
        ] {
          for rank in ranks {
            members.append(try Mailbox())
            threads.append(
              try start(role, rank, count, context, endpoint, members[members.count - 1]))
          }
        }
      }
    }
    for member in members { member.post("the server has ended") }
    for thread in threads { thread.join() }
    let failed = ends.withLock { ends in
      ends.compactMap { end -> String? in
        if case .failure(let error) = end.outcome { "\(end.name): \(error)" } else { nil }
      }
    }
    let stop = try result.get()
    if stop.outcome == .failed, let first = failed.first { throw NodeError(first) }
    return stop
  }

  /// Kernel threads of each of `count` nodes of a role: the machine's cores shared out.
  private func threads(of count: Int) -> Int {
    let wanted = run.configuration.compute.threadsPerNode
    return wanted > 0 ? wanted : max(1, Host.cores / count)
  }

  private func start(
    _ role: Role, _ rank: Int, _ count: Int, _ context: Context, _ server: String,
    _ abandoned: Mailbox<String>
  ) throws -> OwnedThread {
    var options = MemberOptions(role: role, server: server)
    options.listen = "inproc://\(role.rawValue)-\(rank)"
    options.preferredRank = rank
    options.inputs = run.inputs
    options.threads = threads(of: count)
    options.security = try security.map { try MemberSecurity(beside: $0) }
    let name = "\(NodeName(role, rank))"
    return try OwnedThread(name: name) { [self, options] in
      let outcome: Result<Stop, NodeError>
      do {
        outcome = .success(
          try MemberSession.runToEnd(
            context: context, options: options, log: makeLog(name), abandoned: abandoned,
            probe: probe))
      } catch {
        outcome = .failure(error as? NodeError ?? NodeError("\(error)"))
        // A member that cannot even start would leave the server waiting for it.
        if case .failure(let reason) = outcome { stop("\(name) failed: \(reason)") }
      }
      ends.withLock { $0.append(MemberEnd(name: name, outcome: outcome)) }
    }
  }
}
