package import Configuration
import Glibc
package import Observability
import Transport

/// A cluster of child processes on this machine: one server, K workers, M FC nodes.
///
/// The children are this very program. They have process groups of their own, so Ctrl-C reaches
/// only the parent, which ends the cluster through the server; and they leave by themselves if the
/// parent dies (`ParentDeath`).
package final class LocalCluster {
  /// What the supervisor tells its caller.
  package enum Report {
    /// The server's status, several times a second.
    case status(StatusRecord)
    /// Something a person should read.
    case note(String)
  }

  /// How long an orderly end may take before the children are told one by one, and before they
  /// are killed: saving a large model takes seconds.
  private static let patience: (orderly: Double, told: Double) = (20, 5)

  private let configuration: RunConfiguration
  private let directory: RunDirectory
  private let signals: Signals
  /// The keys of a cluster that encrypts.
  private let keys: KeyDirectory?
  private var server: ChildProcess?
  private var members: [ChildProcess] = []
  private var logs: [String: String] = [:]

  /// - Parameters:
  ///   - signals: with SIGCHLD; made before any thread.
  ///   - keys: encrypts everything with them.
  package init(
    _ configuration: RunConfiguration, directory: RunDirectory, signals: Signals,
    keys: KeyDirectory? = nil
  ) {
    self.keys = keys
    self.configuration = configuration
    self.directory = directory
    self.signals = signals
  }

  /// Starts everything, supervises it to the end, and returns once no child is left.
  ///
  /// - Returns: the last status of the run.
  /// - Throws: `NodeError` if the run failed.
  package func run(listen: String?, report: (Report) -> Void) throws -> StatusRecord {
    defer { killAll() }
    let endpoint = try startServer(listen: listen, report)
    try startMembers(endpoint)
    let context = try Context()
    defer { context.terminate() }
    let credentials = try keys.map { try Credentials.keyFile(NodeKeyFile(path: $0.serverKey)) }
    let client = try StatusClient(context: context, endpoint: endpoint, credentials: credentials)
    defer { client.close() }
    var stopping: (since: Double, signals: Int)?
    var announced: Set<String> = []
    while true {
      while let number = signals.next() {
        guard number != SIGCHLD else { continue }
        let name = Signals.name(number)
        if let stopping, stopping.signals >= 1 {
          // A wrapper (`timeout`, a supervisor) passes on what the terminal sends to all anyway.
          guard Self.seconds() - stopping.since > Double(Signals.echo) / 1_000_000 else { continue }
          report(.note("\(name) again: ending at once"))
          killAll()
          throw NodeError("interrupted at once; nothing more was saved")
        }
        report(.note("\(name): ending the run in order (again to end at once)"))
        stopping = (Self.seconds(), 1)
        server?.send(SIGTERM)
      }
      try watch(report, &announced, isStopping: stopping != nil)
      if server?.poll() != nil, members.allSatisfy({ $0.poll() != nil }) { break }
      if server?.poll() != nil, stopping == nil { stopping = (Self.seconds(), 0) }
      if let (since, _) = stopping { press(since) }
      if server?.poll() == nil, let record = try? client.status(timeoutMilliseconds: 300) {
        report(.status(record))
        if stopping == nil { try giveUpIfHopeless(record) }
      }
      var entry = pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0)
      poll(&entry, 1, 200)
    }
    return try result(wasStopped: (stopping?.signals ?? 0) > 0)
  }

  // MARK: Starting

  private func startServer(listen: String?, _ report: (Report) -> Void) throws(NodeError) -> String
  {
    unlink(directory.address)
    unlink(directory.summary)
    let wanted = listen ?? "tcp://127.0.0.1:5555"
    var endpoint = try launchServer(wanted)
    if endpoint == nil, listen == nil, lastLine(of: "server")?.contains("in use") == true {
      report(.note("port 5555 is in use: the server takes a free one"))
      endpoint = try launchServer("tcp://127.0.0.1:0")
    }
    guard let endpoint else {
      throw NodeError(
        "the server did not start: \(lastLine(of: "server") ?? "see its log") "
          + "(\(directory.log("server")))")
    }
    return endpoint
  }

  /// Starts the server and waits for its address.
  private func launchServer(_ listen: String) throws(NodeError) -> String? {
    let child = try spawn(
      "server",
      [
        "server", directory.configuration, "--listen", listen, "--run-dir", directory.path,
      ] + (keys.map { ["--key-file", $0.serverKey] } ?? ["--insecure"]), threads: 1)
    server = child
    let deadline = Self.seconds() + 20
    while Self.seconds() < deadline {
      if let text = RunDirectory.text(of: directory.address), text.hasSuffix("\n") {
        return String(text.dropLast())
      }
      if child.poll() != nil { return nil }
      usleep(5000)
    }
    return nil
  }

  private func startMembers(_ endpoint: String) throws(NodeError) {
    let cluster = configuration.cluster
    let wanted = configuration.compute.threadsPerNode
    let nodeKey = keys.map { ["--key-file", $0.nodeKey(KeyDirectory.firstNode)] } ?? []
    func threads(_ count: Int) -> Int { wanted > 0 ? wanted : max(1, Host.cores / count) }
    for rank in 0..<cluster.fcNodes {
      members.append(
        try spawn(
          "fc-\(rank)",
          [
            "fc", "--server", endpoint, "--listen", "tcp://127.0.0.1:0", "--rank-hint", "\(rank)",
          ] + nodeKey, threads: threads(cluster.fcNodes)))
    }
    for rank in 0..<cluster.workers {
      members.append(
        try spawn(
          "worker-\(rank)", ["worker", "--server", endpoint, "--rank-hint", "\(rank)"] + nodeKey,
          threads: threads(cluster.workers)))
    }
  }

  private func spawn(
    _ name: String, _ arguments: [String], threads: Int
  ) throws(NodeError) -> ChildProcess {
    let path = directory.log(name)
    let log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
    guard log >= 0 else {
      throw NodeError("cannot write \(path): \(String(cString: strerror(errno)))")
    }
    defer { close(log) }
    logs[name] = path
    return try ChildProcess(
      name: name, arguments: arguments,
      environment: [
        "OMP_NUM_THREADS=\(threads)", "OMP_WAIT_POLICY=passive",
        "\(ParentDeath.variable)=\(getpid())",
      ], output: log)
  }

  // MARK: Watching

  /// Tells of children that ended before the run did.
  private func watch(
    _ report: (Report) -> Void, _ announced: inout Set<String>, isStopping: Bool
  ) throws(NodeError) {
    for child in members + (server.map { [$0] } ?? []) {
      guard let end = child.poll(), end != .exited(0), announced.insert(child.name).inserted
      else { continue }
      var why = ""
      if case .exited = end, let line = lastLine(of: child.name) { why = ": \(line)" }
      report(.note("\(child.name) (process \(child.processID)) \(end)\(why)"))
    }
  }

  /// Ends a run that waits for members who will not come: nobody restarts the children here.
  private func giveUpIfHopeless(_ record: StatusRecord) throws(NodeError) {
    guard record.state == .gathering, let dead = members.first(where: { $0.poll() != nil }) else {
      return
    }
    // A run that has begun goes on while one worker is left.
    let isPaused = record.view > 0
    if isPaused, members.contains(where: { $0.name.hasPrefix("worker") && $0.poll() == nil }) {
      return
    }
    throw NodeError(
      "\(dead.name) \(dead.end.map { "\($0)" } ?? "is gone")"
        + (lastLine(of: dead.name).map { ": \($0)" } ?? ""))
  }

  /// Makes a reluctant end happen.
  private func press(_ since: Double) {
    let waited = Self.seconds() - since
    if waited > Self.patience.orderly + Self.patience.told {
      killAll()
    } else if waited > Self.patience.orderly || server?.poll() != nil && waited > 3 {
      for child in members { child.send(SIGTERM) }
    }
  }

  private func killAll() {
    for child in members + (server.map { [$0] } ?? []) { child.send(SIGKILL) }
    for child in members + (server.map { [$0] } ?? []) {
      while child.poll() == nil { usleep(1000) }
    }
  }

  private func result(wasStopped: Bool) throws(NodeError) -> StatusRecord {
    guard let record = directory.readSummary() else {
      let why = lastLine(of: "server") ?? server?.end.map { "\($0)" } ?? "no reason given"
      throw NodeError("the run failed: \(why) (logs in \(directory.path))")
    }
    if record.state == .failed {
      throw NodeError("the run failed: \(record.message) (logs in \(directory.path))")
    }
    return record
  }

  private func lastLine(of name: String) -> String? {
    guard let path = logs[name], let text = RunDirectory.text(of: path) else { return nil }
    return text.split(separator: "\n").last.map(String.init)
  }

  private static func seconds() -> Double { Double(MonotonicClock.now()) / 1_000_000 }
}
