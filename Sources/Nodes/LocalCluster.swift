package import Configuration
import Glibc
import Messages
package import Observability
package import Training
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

  let configuration: RunConfiguration
  let directory: RunDirectory
  let signals: Signals
  /// Processes that the kernel had killed for want of memory when this began.
  let memoryKills = ControlGroup.memoryKills
  /// The keys of a cluster that encrypts.
  let keys: KeyDirectory?
  let resume: Checkpoint?
  /// Whether the run was under way before in this run directory.
  let goesOn: Bool
  var server: ChildProcess?
  var serverDeaths = DeathCount()
  /// Whether the run had begun: a death before has a reason that another start does not mend.
  ///
  /// The server's status says it, and where a death was faster than the next question, the ledger.
  var hasBegun: Bool {
    if !isKnownToHaveBegun {
      isKnownToHaveBegun = directory.hasTakenSteps(beyond: ledgerBefore)
    }
    return isKnownToHaveBegun
  }
  private var isKnownToHaveBegun = false
  /// Bytes of the ledger that were there before.
  private let ledgerBefore: Int
  var members: [Supervised] = []
  /// What the server said last.
  var latest: StatusRecord?
  /// Whether the run waits for those who do not come.
  var vainWait: VainWait
  /// The orderly end, once it is under way.
  var ending: OrderlyEnd?
  /// Why the run has failed, where the launcher ends it.
  private var failure: NodeError?
  /// Whether the server is being waited for.
  var isStarting = false
  private var endSignals = EndSignals()
  /// The log of each child, and where its newest life begins there.
  var logs: [String: (path: String, begin: Int)] = [:]
  /// The server's answers so far.
  private(set) var answers = 0
  /// Children that have ended, and those that were told of, by process.
  var ends: [pid_t: Seen] = [:]
  var announced: Set<pid_t> = []
  /// Options of the server beyond where it listens and writes.
  let serverArguments: [String]
  /// Of all processes, whether faults may be done to them.
  let drillArguments: [String]
  var memberArguments: [String] { drillArguments + ["--record", directory.flight] }
  /// Whether FC node i and server shard i are in the process of worker i; one without a worker has
  /// its own.
  let isBeside: Bool

  /// When a child was first seen to have ended, and after how many of the server's answers.
  struct Seen {
    let seconds: Double
    let answers: Int
  }

  /// A member's process, and how to start another in its place.
  struct Supervised {
    var process: ChildProcess
    var arguments: [String]
    let threads: Int
    var deaths = DeathCount()
    /// Whether somebody has been told that it is not started again.
    var isGivenUp = false
    /// Whether it has ended, and nobody starts it again.
    var isLost: Bool { deaths.hasGivenUp || process.end == .exited(0) }

    /// What it is in the run, also before and after its life.
    var roles: Set<Role> {
      var roles: Set<Role> = []
      if process.name.hasPrefix("worker") { roles.insert(.worker) }
      if process.name.hasPrefix("fc") || arguments.contains(LocalCluster.withFC) {
        roles.insert(.fc)
      }
      if process.name.hasPrefix("shard") || arguments.contains(LocalCluster.withShard) {
        roles.insert(.shard)
      }
      return roles
    }
  }

  /// - Parameters:
  ///   - resume: a checkpoint to go on from.
  ///   - goesOn: whether the run goes on in its directory, where a newer checkpoint counts.
  ///   - signals: with SIGCHLD; made before any thread.
  ///   - serverArguments: further options of `crosscut server`.
  ///   - allowsDrills: whether operators may have faults done to the processes.
  ///   - keys: encrypts everything with them.
  ///   - isBeside: puts FC node i and server shard i into the process of worker i.
  package init(
    _ configuration: RunConfiguration, directory: RunDirectory, resume: Checkpoint? = nil,
    goesOn: Bool = false, signals: Signals, serverArguments: [String] = [],
    allowsDrills: Bool = false,
    keys: KeyDirectory? = nil, isBeside: Bool = false
  ) {
    self.isBeside = isBeside
    self.serverArguments = serverArguments
    drillArguments = allowsDrills ? ["--allow-drills"] : []
    self.keys = keys
    self.resume = resume
    self.goesOn = goesOn
    self.configuration = configuration
    vainWait = VainWait(configuration.cluster)
    self.directory = directory
    ledgerBefore = directory.ledgerLength
    self.signals = signals
  }

  /// Seconds without an answer after which it is not to be waited for.
  private static let longSilence = 3.0

  /// Starts everything, supervises it to the end, and returns once no child is left.
  ///
  /// - Returns: the last status of the run.
  /// - Throws: `NodeError` if the run failed.
  package func run(listen: String?, report: (Report) -> Void) throws -> StatusRecord {
    defer { killAll() }
    let endpoint = try startServer(listen: listen, report)
    if ending == nil { try startMembers(endpoint) }
    let context = try Context()
    defer { context.terminate() }
    let credentials = try keys.map { try Credentials.keyFile(NodeKeyFile(path: $0.serverKey)) }
    let client = try StatusClient(context: context, endpoint: endpoint, credentials: credentials)
    defer { client.close() }
    var silence = LivedTime()
    while true {
      try takeSignals(report)
      watch(report)
      if server?.poll() != nil, ending == nil, try !replaceServer(endpoint, report) {
        ending = OrderlyEnd()
      }
      let isOver = server?.poll() != nil
      // Without an end another server is still to be started.
      if isOver, ending != nil, members.allSatisfy({ $0.process.poll() != nil }) { break }
      if !isOver {
        let record = try? client.status(
          timeoutMilliseconds: 300, interrupt: signals.descriptor)
        silence.look()
        if let record {
          take(record, report)
          silence = LivedTime()
        }
        // Whoever has died is missed even if the server does not answer for long. For a moment it may
        // be about to say how the run ended.
        if ending == nil, record != nil || silence.seconds > Self.longSilence {
          do throws(NodeError) {
            try replaceTheDead(isSilent: record == nil, report)
          } catch {
            try fail(error, report)
          }
        }
      }
      try press(report)
      var entry = pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0)
      poll(&entry, 1, 200)
    }
    if let failure {
      throw NodeError("the run failed: \(failure) (logs in \(directory.path)\(resuming))")
    }
    let record = try result()
    for child in children {
      if let end = child.poll(), end != .exited(0) { announce(child, end, report) }
    }
    return record
  }

  /// Ends a run that does not go on without a process which nobody starts again: what its server has,
  /// it is to save.
  private func fail(_ reason: NodeError, _ report: (Report) -> Void) throws(NodeError) {
    guard hasBegun else { throw reason }
    failure = reason
    report(.note("\(reason): ending the run in order"))
    ending = OrderlyEnd()
    server?.send(Signals.orderly)
  }

  var children: [ChildProcess] { members.map(\.process) + (server.map { [$0] } ?? []) }

  private func take(_ record: StatusRecord, _ report: (Report) -> Void) {
    latest = record
    answers += 1
    vainWait.take(record)
    ending?.answered()
    if record.view > 0 { isKnownToHaveBegun = true }
    report(.status(record))
  }

  // MARK: Signals

  /// Does what the signals that have come ask for.
  ///
  /// - Throws: `NodeError` if all was to end at once, and has.
  func takeSignals(_ report: (Report) -> Void) throws(NodeError) {
    while let number = signals.next() {
      let name = Signals.name(number)
      switch number {
      case SIGCHLD: continue
      case SIGTSTP:
        suspend()
        continue
      default: break
      }
      switch endSignals.take(number, now: MonotonicClock.now()) {
      case .nothing: continue
      case .again: report(.note("\(name): the run is ending already (again to end at once)"))
      case .atOnce:
        report(.note("\(name) again: ending at once"))
        killAll()
        throw NodeError("interrupted at once; nothing more was saved")
      case .inOrder:
        let more = number == Signals.orderly ? "" : " (again to end at once)"
        report(.note("\(name): ending the run in order\(more)"))
        guard ending == nil else { continue }
        ending = OrderlyEnd()
        // One that does not listen yet may not be able to end in order yet. It may have been told
        // before by somebody else.
        if !isStarting { server?.send(Signals.orderly) }
      }
    }
  }

  /// Ctrl-Z stops the whole cluster, not only this process: until it goes on (`fg`, `bg`).
  private func suspend() {
    let processes = (server.map { [$0] } ?? []) + members.map(\.process)
    for process in processes { process.send(SIGSTOP) }
    // The kernel knows whether there is a shell that could have it go on: where there is none, it
    // does not stop.
    Signals.stopAsTold()
    // The server last: nobody is to seem silent to it.
    for process in processes.reversed() { process.send(SIGCONT) }
  }

  // MARK: The end

  /// Makes a reluctant end happen.
  ///
  /// - Throws: `NodeError` if the server was killed while it still had to say how the run ended.
  private func press(_ report: (Report) -> Void) throws(NodeError) {
    let lives = server?.poll() == nil
    switch ending?.look(serverLives: lives) {
    case nil, .wait: break
    case .remind:
      let what = latest?.state == .finishing ? "the model is being collected and saved" : "ending"
      report(.note("still \(what); Ctrl-C again ends at once"))
    case .tellMembers:
      for member in members { member.process.send(SIGTERM) }
    case .kill:
      let left = children.filter { $0.poll() == nil }.map(\.name).joined(separator: ", ")
      report(.note("\(left) did not end: killed"))
      killAll()
      guard lives, directory.readSummary() == nil else { return }
      throw NodeError(
        "the server did not answer any more while the run was to end, and was killed: nothing more "
          + "was saved (logs in \(directory.path)\(resuming))")
    }
  }

  func killAll() {
    for child in children { child.send(SIGKILL) }
    for child in children {
      while child.poll() == nil { usleep(1000) }
    }
  }

  private func result() throws(NodeError) -> StatusRecord {
    guard let record = directory.readSummary() else {
      let why = lastLine(of: "server") ?? server?.end.map { "\($0)" } ?? "no reason given"
      throw NodeError("the run failed: \(why) (logs in \(directory.path)\(resuming))")
    }
    if record.state == .failed {
      let advice = NonFiniteAdvice.text(record.message, directory) ?? resuming
      throw NodeError("the run failed: \(record.message) (logs in \(directory.path)\(advice))")
    }
    return record
  }

  /// What to do after a failure, behind where the logs are.
  private var resuming: String {
    directory.hasCheckpoints
      ? "; crosscut train --resume \(directory.path) goes on from its newest checkpoint" : ""
  }

  /// The last thing that a child has said; `nil` if its newest life has said nothing.
  func lastLine(of name: String) -> String? {
    guard let log = logs[name], let text = RunDirectory.text(of: log.path, from: log.begin)
    else { return nil }
    return text.split(separator: "\n").last.map(String.init)
  }

  static func seconds() -> Double { Double(MonotonicClock.now()) / 1_000_000 }
}
