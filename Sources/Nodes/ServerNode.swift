import Configuration
import Coordination
import Glibc
package import Messages
package import Observability
import Tensors
package import Training
package import Transport
import Wire

/// The parameter server's socket thread: feeds `ServerCore`, carries out its directives, answers
/// observers.
package final class ServerNode {
  let context: RunContext
  let options: ServerOptions
  /// What is said of the run's beginning, on its page too.
  var news: [String]
  let hub: Hub
  let log: Logger
  private let incarnation: UInt64
  let identity: Header
  var core: ServerCore
  let compute: ComputeThread<ServerCore.Operation, ServerCore.Outcome, Bool>
  var validation: ValidationKeeper
  var monitor: RunMonitor
  var ledger: RunLedger?
  private let http: HTTPServer?
  let facts: RunFacts
  let writer: CheckpointWriter?
  /// Asks the server to end the run: in-process owners post here.
  let commands: Mailbox<String>
  /// The first signal ends the run in order, the second one at once.
  private let signals: Signals?
  private var endSignals = EndSignals()
  /// An evaluation with a lower error than all before it, of which the core is yet to hear.
  var best: UInt64?

  let recorder: FlightRecorder?
  var visitors = VisitorBook()
  var controlLinks: [NodeID: Hub.Link] = [:]
  var bulkLinks: [NodeID: Hub.Link] = [:]
  /// From where each member has joined: what names it has to come from there.
  var homes: [NodeID: Home] = [:]
  let configurationText: Frame
  var refusals: UInt64 = 0
  var complained: Set<Hub.Link> = []
  var keyDesk: KeyDesk?
  /// Since when the keys of those who ask to join were found to be off the list.
  var struckOffSince: [PublicKey: Microseconds] = [:]
  /// When the list was last looked at for members who are struck off it, and who was then.
  var rightsLook: (at: Microseconds, struckOff: Set<NodeID>) = (0, [])
  var lineLimits: [LineLimit.Kind: LineLimit] = [:]
  var echoes = EchoBook()
  var status = SharedReply()
  var logDesk = LogDesk()
  var sampleDesk = SampleDesk()
  private var memory = MemoryWatch()
  private var descriptors = DescriptorWatch()
  var strangers = StrangerLog()
  var result: End?
  /// What the server's threads note into while a trace is made.
  let spans = SpanRecorder()
  /// The trace that is being made.
  var trace: TraceCollection?
  /// A drill at the server itself, and when it begins.
  var pendingDrill: (drill: Drill, time: UInt64)?
  var pauses = PauseWatch()
  /// Until when checkpoints fail for a drill, monotonic microseconds.
  let diskFullUntil = SharedNumber()
  /// Not zero once the compute thread is to end: it waits for no file server then.
  private let isEnding = SharedNumber()

  /// How a server's part in a run ended.
  package enum End: Sendable {
    case stop(Stop)
    /// Another server is to go on from the last checkpoint with so many FC nodes.
    case recut(fcNodes: Int)
  }

  /// Binds the sockets; must be called on the thread that then calls `run`.
  ///
  /// - Parameter onModel: sees the trained parameters at the end.
  package init(
    context transport: Context, run: RunContext, options: ServerOptions, log: Logger,
    commands: Mailbox<String>, signals: Signals? = nil, probe: (any StepProbe)? = nil,
    observer: (any RunObserver)? = nil, onModel: (@Sendable (ModelTensors) -> Void)? = nil
  ) throws {
    context = run
    self.options = options
    news = options.news
    self.log = log
    self.commands = commands
    self.signals = signals
    incarnation = UInt64.random(in: 1...UInt64.max)
    let number = UInt64.random(in: 1...UInt64.max)
    identity = Header(run: number, view: 0, sender: .server, incarnation: incarnation)
    hub = try Hub(
      context: transport, listen: options.listen,
      security: options.security?.hub ?? HubSecurity())
    keyDesk = options.security.map { KeyDesk(security: $0) }
    recorder = FlightRecorder.open(in: options.runDirectory?.flight, role: .server, log: log)
    let now = MonotonicClock.now()
    let resumeSteps = options.resume?.manifest.steps ?? 0
    recorder?.note(
      .begun, number: resumeSteps, text: options.goesOn ? FlightReplay.goesOn : "")
    var plan = run.plan
    // Without a run directory there is nowhere to put a checkpoint.
    if options.runDirectory == nil {
      plan.checkpointEvery = 0
      plan.checkpointInterval = 0
    }
    core = ServerCore(
      plan: plan, identity: identity, resumeSteps: resumeSteps, goesOn: options.goesOn, now: now)
    configurationText = Frame(copying: Array(run.configuration.resolvedJSON().utf8))
    facts = RunFacts(
      run, number: number, resumed: options.resume, followsDeath: options.followsDeath)
    validation = ValidationKeeper(
      run.configuration, facts, resumed: options.resume, changes: options.keptRateChanges(log))
    monitor = try RunMonitor(
      run: number, context: run, directory: options.runDirectory, observer: observer, log: log,
      resumed: options.resume?.manifest, rates: validation.rates)
    ledger = try options.runDirectory.map { directory throws(ObservabilityError) in
      try RunLedger(
        path: directory.ledger, run: Version.runName(number), globalBatch: plan.globalBatch,
        fcNodes: plan.fcNodesWanted, resumed: options.resume?.manifest
      ) { level, text in log.log(level, text) }
    }
    let board = monitor.board
    let tensorBoard = monitor.tensorBoard
    http = try options.http.map { try HTTPServer($0, board: board) }
    let store = options.runDirectory.map { [diskFullUntil] in
      CheckpointStore(directory: $0.checkpoints, keep: run.configuration.checkpoint.keep) {
        MonotonicClock.now() < diskFullUntil.value
      }
    }
    let facts = facts
    do {
      writer = try store.map { [path = options.runDirectory?.ledger, sync = ledger?.sync] store in
        try CheckpointWriter(store, run.network) { steps in
          facts.manifest(steps: steps)
        } confirm: { () throws(CheckpointError) in
          // No checkpoint on the disk of steps that the ledger there does not have.
          guard let reason = sync?() else { return }
          throw CheckpointError(path: path ?? "", reason: reason)
        }
      }
    } catch {
      http?.stop()
      throw error
    }
    writer?.spare(resumeSteps)
    let metadata = [
      "format": "pt", "framework": "crosscut \(Version.text)",
      "network": run.configuration.network.name ?? "custom", "run": Version.runName(number),
      "seed": "\(run.configuration.seed)",
    ]
    do {
      compute = try ComputeThread(
        name: "compute", threads: options.threads, recorder: spans,
        label: { $0.traceLabel(run.plan) },
        // Of the chunks whose gradients are all there, the next forward pass wants the first layers'.
        need: { if case .apply(let chunk, _, _) = $0 { chunk } else { nil } }
      ) {
        [rates = validation.rates, writer, options, isEnding] in
        let archive = ServerArchive(
          context: run, modelPath: options.runDirectory?.model, metadata: metadata,
          checkpoints: store, resumed: options.resume, writer: writer,
          isEnding: isEnding, report: { log.warning($0) }, onModel: onModel)
        let compute = try ServerCompute(
          context: run, archive: archive, resumeSteps: resumeSteps, probe: probe,
          board: board, tensorBoard: tensorBoard, rates: rates)
        return (compute, true)
      }
    } catch {
      writer?.stop()
      http?.stop()
      throw error
    }
  }

  /// Ends a server that is not to run: its threads would otherwise outlive it.
  func abandon() {
    isEnding.value = 1
    compute.stop()
    http?.stop()
    writer?.stop()
    hub.close(lingerMilliseconds: 0)
  }

  /// Where the server listens, with the port the system picked.
  package var endpoint: String { hub.boundEndpoint ?? options.listen }

  /// What to type into a browser; `nil` without a page.
  package var pageAddress: String? { http?.address.url }

  /// Where the page is, with the port the system picked.
  var httpAddress: HTTPAddress? { http?.address }

  /// The run's number, for logs and file names.
  package var runNumber: UInt64 { identity.run }

  /// Runs to the end of the run.
  package func run() throws -> End {
    ledger?.begin()
    log.info("run \(Version.runName(identity.run)) listens at \(endpoint)")
    if let page = pageAddress { log.info("page: \(page)") }
    if let resumed = options.resume?.manifest {
      let text = "goes on after \(resumed.steps) steps of run \(resumed.run)"
      log.info(text)
      monitor.event(text)
    }
    for text in news { monitor.event(text, .note) }
    monitor.state("waiting for \(Self.wanted(context))")
    defer { hub.close(lingerMilliseconds: 1000) }
    let ended = Result { try runTurns() }
    isEnding.value = 1
    let signal = EndWatch.run(signals, after: endSignals, log) {
      compute.stop()
      http?.stop()
      writer?.stop()
    }
    let end = try ended.get()
    guard let signal, case .recut = end else { return end }
    // The next server would not hear of it.
    let stop = Stop(
      outcome: .interrupted,
      reason: "\(Signals.name(signal)), while the fc layers were to be cut anew")
    monitor.finish(stop, core, refusals: refusals + hub.droppedMessages)
    return .stop(stop)
  }

  private func runTurns() throws -> End {
    while result == nil {
      try turn()
      guard result == nil else { break }
      _ = try hub.wait(
        milliseconds: 50, wakeUp: compute.reports.wakeUp,
        extraDescriptors: [commands.wakeUp.descriptor]
          + (signals.map { [$0.descriptor] } ?? [])
          + (writer.map { [$0.reports.wakeUp.descriptor] } ?? []))
    }
    ledger?.finish()
    let end = result ?? .stop(Stop(outcome: .failed, reason: "no result"))
    if case .stop(let stop) = end {
      monitor.finish(stop, core, refusals: refusals + hub.droppedMessages)
    }
    let deadline = MonotonicClock.now() + 500_000
    while hub.queuedBytes > 0, MonotonicClock.now() < deadline {
      // A hub with events that nobody has taken does not wait.
      _ = hub.takeEvents()
      _ = try hub.wait(milliseconds: 20, wakeUp: nil)
    }
    return end
  }

  private static func wanted(_ context: RunContext) -> String {
    let cluster = context.configuration.cluster
    let shards = cluster.serverShards - 1
    return "\(cluster.workers) worker\(cluster.workers == 1 ? "" : "s")"
      + (shards == 0 ? " and " : ", ")
      + "\(cluster.fcNodes) fc node\(cluster.fcNodes == 1 ? "" : "s")"
      + (shards == 0 ? "" : " and \(shards) more server shard\(shards == 1 ? "" : "s")")
  }

  /// One pass over everything that may have happened.
  private func turn() throws {
    for reason in commands.drain() {
      handle(.stop(reason: reason))
    }
    while let number = signals?.next() {
      let name = Signals.name(number)
      switch endSignals.take(number, now: MonotonicClock.now()) {
      case .inOrder: handle(.stop(reason: name))
      case .nothing, .again: break
      case .atOnce: endAtOnce(name)
      }
    }
    takeCheckpoints()
    for event in hub.takeEvents() {
      switch event {
      case .peerClosed(let link): lost(link)
      case .strangerRefused(let failure, let address): refused(failure, address)
      case .tooManyParts(let link):
        broken(link, "a message of more than \(hub.options.mostParts) parts")
      default: break
      }
    }
    for line in strangers.overdue(now: MonotonicClock.now()) { log.warning(line) }
    for report in compute.reports.drain() {
      switch report {
      case .prepared: break
      case .failed(let reason): throw NodeError(reason)
      case .finished(let id, let outcome):
        handle(.computed(id, outcome))
        if case .wentFurtherBack = outcome { writer?.spare(core.checkpointSteps) }
      }
    }
    var budget = 256
    while budget > 0, result == nil, let (link, parts) = try hub.receive() {
      budget -= 1
      receive(link, parts)
    }
    settleKeys(MonotonicClock.now())
    handle(.tick)
    if monitor.retryIfDue(now: MonotonicClock.now()) { ledger?.retry() }
    for node in core.cuts.keys.sorted()
    where controlLinks[node].map({ hub.queuedBytes(to: $0) == 0 }) ?? false {
      handle(.drained(node))
    }
    drillIfDue()
    DrillExecution.tellOfEnd(hub: hub, log: log)
    finishTraceIfComplete()
    let now = MonotonicClock.now()
    for line in [memory.look(now), descriptors.look(now)].compactMap(\.self) {
      log.warning(line)
      monitor.event(line, .note)
    }
    if let http,
      monitor.publishIfDue(
        core, refusals: refusals + hub.droppedMessages, now: MonotonicClock.now())
    {
      http.wake()
    }
    if let facts = core.dataset, validation.rates.totalSteps == 0 {
      learned(facts)
    }
  }

  /// Before any loss is heard of: what the run goes back to then is the newest that there is.
  private func takeCheckpoints() {
    for report in writer?.reports.drain() ?? [] {
      switch report.result {
      case .failure(let error):
        handle(.checkpointed(steps: report.steps, failure: "\(error)"))
      case .success(let path):
        handle(.checkpointed(steps: report.steps, failure: nil))
        writer?.spare(core.checkpointSteps, since: path)
      }
    }
  }

  /// A second signal ends the process where it stands, as a kill would: its other threads may wait
  /// for a disk for ever. Nothing that is half written has its final name.
  private func endAtOnce(_ signal: String) -> Never {
    log.error("\(signal) again: ended at once, nothing more was saved")
    _exit(1)
  }
}
