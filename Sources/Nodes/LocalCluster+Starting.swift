import Configuration
import Glibc
import Observability
import Training

/// Starting the processes of a cluster.
extension LocalCluster {
  func startServer(listen: String?, _ report: (Report) -> Void) throws(NodeError) -> String {
    unlink(directory.address)
    unlink(directory.pageAddress)
    let wanted = listen ?? "tcp://127.0.0.1:5555"
    let proposal = try directory.propose(configuration, from: resume)
    defer { directory.forgetProposal() }
    try spawnServer(wanted, proposal)
    var endpoint = try awaitServer(report)
    if endpoint == nil, ending == nil, listen == nil,
      lastLine(of: "server")?.contains("in use") == true
    {
      report(.note("port 5555 is in use: the server takes a free one"))
      try spawnServer("tcp://127.0.0.1:0", proposal)
      endpoint = try awaitServer(report)
    }
    guard let endpoint else {
      guard ending == nil else { throw NodeError("interrupted before the server had started") }
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

  /// - Parameter proposal: what it is to begin with; `nil` for what the one before has left.
  func spawnServer(_ listen: String, _ proposal: String? = nil) throws(NodeError) {
    server = try spawn(
      "server",
      [
        "server", proposal ?? directory.configuration, "--listen", listen, "--run-dir",
        directory.path,
      ] + laterServerArguments + drillArguments
        + (keys.map { ["--key-file", $0.serverKey] } ?? ["--insecure"])
        + (resume.map { ["--resume", $0.path] } ?? []) + (hasBegun || goesOn ? ["--continue"] : []),
      threads: 1)
  }

  /// Waits for the address of the server that was started.
  ///
  /// One that goes on from a checkpoint verifies it first, which takes as long as it takes.
  func awaitServer(_ report: (Report) -> Void) throws(NodeError) -> String? {
    guard let child = server else { return nil }
    isStarting = true
    defer { isStarting = false }
    let hasLimit = resume == nil && !hasBegun && !(goesOn && directory.hasCheckpoints)
    var waited = LivedTime()
    var isTold = false
    while true {
      waited.look()
      // What is looked for after the time cannot have come unseen before the time was over.
      if let text = RunDirectory.text(of: directory.address), text.hasSuffix("\n") {
        if ending != nil { child.send(Signals.orderly) }
        return String(text.dropLast())
      }
      if child.poll() != nil { return nil }
      if waited.seconds > Self.starting {
        guard !hasLimit else { return nil }
        if !isTold { report(.note("the server still reads its checkpoint, or is stopped")) }
        isTold = true
      }
      try takeSignals(report)
      usleep(5000)
    }
  }

  /// How long a server that begins anew may take, seconds.
  private static let starting = 20.0

  func startMembers(_ endpoint: String) throws(NodeError) {
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
  static let withFC = "--with-fc"
  static let withShard = "--with-server-shard"
  static let listenHere = ["--listen", "tcp://127.0.0.1:0"]

  private func startMember(
    _ name: String, _ arguments: [String], threads: Int
  ) throws(NodeError) {
    members.append(
      Supervised(
        process: try spawn(name, arguments, threads: threads), arguments: arguments,
        threads: threads))
  }

  func spawn(
    _ name: String, _ arguments: [String], threads: Int
  ) throws(NodeError) -> ChildProcess {
    let path = directory.log(name)
    let log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
    guard log >= 0 else {
      throw NodeError("cannot write \(path): \(String(cString: strerror(errno)))")
    }
    defer { close(log) }
    logs[name] = (path, Int(lseek(log, 0, SEEK_END)))
    return try ChildProcess(
      name: name, arguments: arguments,
      environment: [
        "OMP_NUM_THREADS=\(threads)", "OMP_WAIT_POLICY=passive",
        "\(ParentDeath.variable)=\(getpid())",
      ], output: log)
  }
}
