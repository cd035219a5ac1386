package import Configuration
import Glibc
package import Observability
import Transport

/// A cluster of child processes on this machine: S parameter servers, K workers, M FC nodes.
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
  /// How long a child that gave up is held back for the run's own reason, seconds.
  private static let grace = 2.0

  private let configuration: RunConfiguration
  private let directory: RunDirectory
  private let signals: Signals
  /// Processes that the kernel had killed for want of memory when this began.
  private let memoryKills = ControlGroup.memoryKills
  /// The keys of a cluster that encrypts.
  private let keys: KeyDirectory?
  private let resume: String?
  private var server: ChildProcess?
  private var serverDeaths = DeathCount()
  /// Whether the run had begun: a death before has a reason that another start does not mend.
  private var hasBegun = false
  private var members: [Supervised] = []
  private var logs: [String: String] = [:]
  /// When each child was first seen to have ended, and those that were told of, by process.
  private var ends: [pid_t: Double] = [:]
  private var announced: Set<pid_t> = []
  /// Options of the server beyond where it listens and writes.
  private let serverArguments: [String]
  /// Of all processes, whether faults may be done to them.
  private let drillArguments: [String]
  private var memberArguments: [String] { drillArguments + ["--record", directory.flight] }
  /// Whether FC node i and server shard i are in the process of worker i; one without a worker has
  /// its own.
  private let isBeside: Bool

  /// A member's process, and how to start another in its place.
  private struct Supervised {
    var process: ChildProcess
    var arguments: [String]
    let threads: Int
    var deaths = DeathCount()
  }

  /// - Parameters:
  ///   - resume: a checkpoint to go on from.
  ///   - signals: with SIGCHLD; made before any thread.
  ///   - serverArguments: further options of `crosscut server`.
  ///   - allowsDrills: whether operators may have faults done to the processes.
  ///   - keys: encrypts everything with them.
  ///   - isBeside: puts FC node i and server shard i into the process of worker i.
  package init(
    _ configuration: RunConfiguration, directory: RunDirectory, resume: String? = nil,
    signals: Signals, serverArguments: [String] = [], allowsDrills: Bool = false,
    keys: KeyDirectory? = nil, isBeside: Bool = false
  ) {
    self.isBeside = isBeside
    self.serverArguments = serverArguments
    drillArguments = allowsDrills ? ["--allow-drills"] : []
    self.keys = keys
    self.resume = resume
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
      watch(report)
      if server?.poll() != nil, stopping == nil, try !replaceServer(endpoint, report) {
        stopping = (Self.seconds(), 0)
      }
      if server?.poll() != nil, members.allSatisfy({ $0.process.poll() != nil }) { break }
      if let (since, _) = stopping { press(since) }
      if server?.poll() == nil, let record = try? client.status(timeoutMilliseconds: 300) {
        report(.status(record))
        if record.view > 0 { hasBegun = true }
        if stopping == nil { try replaceTheDead(record, report) }
      }
      var entry = pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0)
      poll(&entry, 1, 200)
    }
    let record = try result(wasStopped: (stopping?.signals ?? 0) > 0)
    for child in children {
      if let end = child.poll(), end != .exited(0) { announce(child, end, report) }
    }
    return record
  }

  private var children: [ChildProcess] {
    members.map(\.process) + (server.map { [$0] } ?? [])
  }

  // MARK: Starting

  private func startServer(listen: String?, _ report: (Report) -> Void) throws(NodeError) -> String
  {
    unlink(directory.address)
    unlink(directory.pageAddress)
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
    if let page = RunDirectory.text(of: directory.pageAddress) {
      report(.note("page: \(page.split(separator: "\n").first ?? "")"))
    }
    return endpoint
  }

  /// The server's further options; once it has run, its page stays where people look at it.
  private var laterServerArguments: [String] {
    guard hasBegun, let index = serverArguments.firstIndex(of: "--http"),
      let page = RunDirectory.text(of: directory.pageAddress)?.split(separator: "/").dropFirst()
        .first
    else { return serverArguments }
    var arguments = serverArguments
    arguments[index + 1] = String(page)
    return arguments
  }

  /// Starts the server and waits for its address.
  private func launchServer(_ listen: String) throws(NodeError) -> String? {
    let child = try spawn(
      "server",
      [
        "server", directory.configuration, "--listen", listen, "--run-dir", directory.path,
      ] + laterServerArguments + drillArguments
        + (keys.map { ["--key-file", $0.serverKey] } ?? ["--insecure"])
        + (resume.map { ["--resume", $0] } ?? []) + (hasBegun ? ["--continue"] : []), threads: 1)
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
    let listen = Self.listenHere
    let besideWorker = isBeside ? cluster.workers : 0
    for rank in 1..<cluster.serverShards where rank >= besideWorker {
      let place = "\(rank)/\(cluster.serverShards)"
      try startMember(
        "shard-\(rank)",
        ["server", "--shard", place, "--coordinator", endpoint] + listen + nodeKey
          + memberArguments, threads: 1)
    }
    for rank in 0..<cluster.fcNodes where rank >= besideWorker {
      try startMember(
        "fc-\(rank)",
        ["fc", "--server", endpoint, "--rank-hint", "\(rank)"] + listen + nodeKey
          + memberArguments,
        threads: threads(cluster.fcNodes))
    }
    for rank in 0..<cluster.workers {
      var arguments = ["worker", "--server", endpoint, "--rank-hint", "\(rank)"] + nodeKey
      arguments += memberArguments
      if isBeside {
        let withFC = rank < cluster.fcNodes
        let withShard = (1..<cluster.serverShards).contains(rank)
        if withFC { arguments.append(Self.withFC) }
        if withShard { arguments.append(Self.withShard) }
        if withFC || withShard { arguments += listen }
      }
      try startMember("worker-\(rank)", arguments, threads: threads(cluster.workers))
    }
  }

  /// Make a worker an FC node or a server shard too.
  private static let withFC = "--with-fc"
  private static let withShard = "--with-server-shard"
  private static let listenHere = ["--listen", "tcp://127.0.0.1:0"]

  private func startMember(
    _ name: String, _ arguments: [String], threads: Int
  ) throws(NodeError) {
    members.append(
      Supervised(
        process: try spawn(name, arguments, threads: threads), arguments: arguments,
        threads: threads))
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
  ///
  /// Those that give up may do so because the run has failed, which is then said once, at the end:
  /// they are told of when it goes on without them.
  private func watch(_ report: (Report) -> Void) {
    let now = Self.seconds()
    for child in children {
      guard let end = child.poll(), end != .exited(0) else { continue }
      let since = ends[child.processID] ?? now
      ends[child.processID] = since
      if case .exited = end,
        now - since < Self.grace || directory.readSummary()?.state == .failed
      {
        continue
      }
      announce(child, end, report)
    }
  }

  private func announce(
    _ child: ChildProcess, _ end: ChildProcess.End, _ report: (Report) -> Void
  ) {
    guard announced.insert(child.processID).inserted else { return }
    report(.note("\(child.name) (process \(child.processID)) \(end)\(why(child.name, end))"))
  }

  /// What is known of why a child ended: the kernel's want of memory, or its own last line.
  private func why(_ name: String, _ end: ChildProcess.End) -> String {
    guard end != .killed(signal: SIGKILL) else {
      return MemoryWatch.explanation(killsBefore: memoryKills)
    }
    return lastLine(of: name).map { ": \($0)" } ?? ""
  }

  /// Starts another process in the place of one that has died; before the run has begun, a death
  /// has a reason that another start does not mend.
  private func replaceTheDead(
    _ record: StatusRecord, _ report: (Report) -> Void
  ) throws(NodeError) {
    for index in members.indices {
      guard let end = members[index].process.poll(), end != .exited(0) else { continue }
      let name = members[index].process.name
      if configuration.cluster.fcLoss == .recut, hasBegun {
        // Its slice is with the others by then: only a worker is to come back.
        if name.hasPrefix("fc") { continue }
        members[index].arguments.removeAll { $0 == Self.withFC }
        if name.hasPrefix("worker"), !members[index].arguments.contains(Self.withShard) {
          members[index].arguments.removeAll(where: Self.listenHere.contains)
        }
      }
      guard hasBegun, members[index].deaths.mayRestart() else {
        let isNeeded =
          record.state == .gathering
          || !members.contains { $0.process.name.hasPrefix("worker") && $0.process.poll() == nil }
        guard isNeeded else { continue }
        throw NodeError("\(name) \(end)\(why(name, end))")
      }
      announce(members[index].process, end, report)
      members[index].process = try spawn(
        name, members[index].arguments, threads: members[index].threads)
      report(.note("\(name) started again (process \(members[index].process.processID))"))
    }
  }

  /// Starts the server again after a sudden death: it goes on from its newest checkpoint, and the
  /// members join it.
  ///
  /// - Returns: whether there is a server again.
  private func replaceServer(
    _ endpoint: String, _ report: (Report) -> Void
  ) throws(NodeError) -> Bool {
    // It may be killed again while it starts.
    while hasBegun, case .killed = server?.end, directory.readSummary() == nil,
      serverDeaths.mayRestart()
    {
      unlink(directory.address)
      guard try launchServer(endpoint) != nil, let server else { continue }
      report(.note("server started again (process \(server.processID))"))
      return true
    }
    return false
  }

  /// Makes a reluctant end happen.
  private func press(_ since: Double) {
    let waited = Self.seconds() - since
    if waited > Self.patience.orderly + Self.patience.told {
      killAll()
    } else if waited > Self.patience.orderly || server?.poll() != nil && waited > 3 {
      for member in members { member.process.send(SIGTERM) }
    }
  }

  private func killAll() {
    for child in children { child.send(SIGKILL) }
    for child in children {
      while child.poll() == nil { usleep(1000) }
    }
  }

  private func result(wasStopped: Bool) throws(NodeError) -> StatusRecord {
    guard let record = directory.readSummary() else {
      let why = lastLine(of: "server") ?? server?.end.map { "\($0)" } ?? "no reason given"
      throw NodeError("the run failed: \(why) (logs in \(directory.path))")
    }
    if record.state == .failed {
      let resuming =
        directory.hasCheckpoints
        ? "; crosscut train --resume \(directory.path) goes on from its newest checkpoint" : ""
      throw NodeError("the run failed: \(record.message) (logs in \(directory.path)\(resuming))")
    }
    return record
  }

  private func lastLine(of name: String) -> String? {
    guard let path = logs[name], let text = RunDirectory.text(of: path) else { return nil }
    return text.split(separator: "\n").last.map(String.init)
  }

  private static func seconds() -> Double { Double(MonotonicClock.now()) / 1_000_000 }
}
