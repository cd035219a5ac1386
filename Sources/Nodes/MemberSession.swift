import CLinux
import Configuration
import Coordination
import Glibc
package import Messages
import Network
package import Observability
import Tensors
package import Training
package import Transport
import Wire

/// The socket thread of a worker, FC node or server shard: joins the server, feeds the core, carries
/// out its directives. Always responsive: it never computes and never waits for anything but its
/// poll.
package final class MemberSession {
  let options: MemberOptions
  let hub: Hub
  let log: Logger
  private let probe: (any StepProbe)?
  private let incarnation: UInt64
  /// The first signal makes the node leave in order, the second one at once.
  let signals: Signals?
  var leavingSince: Microseconds?
  var endSignals = EndSignals()
  /// Each tells the node to leave, as a signal does.
  private let orders: Mailbox<String>?
  /// A server of this process that is gone posts here.
  private let abandoned: Mailbox<String>?
  var abandonment: (reason: String, since: Microseconds)?
  let recorder: FlightRecorder?

  let control: Hub.Link
  let bulk: Hub.Link
  var identity: Header
  private var serverIncarnation: UInt64 = 0
  var role: (any MemberRole)?
  /// In the role's place until that is prepared.
  private var preparing: PreparingCore?
  /// FC nodes and shards dialed, and members who have dialed in.
  var routes: [NodeID: Hub.Link] = [:]
  var endpoints: [NodeID: String] = [:]
  /// FC nodes and shards that this node has dialed, and which of these links are there.
  var dialed: [NodeID: Hub.Link] = [:]
  var connected: Set<Hub.Link> = []
  /// Who has dialed in.
  var accepted: [Hub.Link: NodeID] = [:]
  /// Those whose connections are closed; what they had sent may still come. The last ones.
  var closed: [Hub.Link] = []
  private var lastJoin: Microseconds?
  var serverLostAt: Microseconds?
  var refusals: UInt64 = 0
  var complained: Set<Hub.Link> = []
  var refusalLines = LineLimit()
  var echoes = EchoBook()
  /// Members that are not listened to any more, and why; and the view in which the server was told.
  var unheard: [NodeID: String] = [:]
  var unheardView: UInt32 = 0
  var handshakes = HandshakeWatch()
  var strangers = StrangerLog()
  private var news = StartingNews()
  var memory = MemoryWatch()
  var descriptors = DescriptorWatch()
  var largestGap: Microseconds = 0
  var result: End?
  var tracing = MemberTracing()
  private var patience: Patience
  /// Whether the server has let this process in, in this session or one before.
  private(set) var isKnown: Bool
  /// Why the server does not let it in again yet.
  var refusal: String?
  private var pauses = PauseWatch()
  private var silence: ServerSilence

  /// How a session ended.
  package enum End: Sendable {
    case stop(Stop)
    /// The membership is over, the run or its successor is not: a new session may join it.
    case joinAgain(reason: String)
  }

  /// Joins the run at `options.server`, and again whenever only the membership is over: the server
  /// has come back from a checkpoint, or took this node for dead.
  ///
  /// - Throws: `NodeError` when the node cannot join or go on; `TransportError` from sockets.
  package static func runToEnd(
    context: Context, options: MemberOptions, log: Logger, signals: Signals? = nil,
    orders: Mailbox<String>? = nil, abandoned: Mailbox<String>? = nil,
    probe: (any StepProbe)? = nil
  ) throws -> Stop {
    let recorder = FlightRecorder.open(in: options.flightFolder, role: options.role, log: log)
    var isKnown = false
    while true {
      let session = try Rebinding.retry {
        try MemberSession(
          context: context, options: options, log: log, signals: signals, orders: orders,
          abandoned: abandoned, probe: probe, recorder: recorder, isKnown: isKnown)
      }
      let end = try session.run()
      isKnown = session.isKnown
      switch end {
      case .stop(let stop): return stop
      case .joinAgain(let reason): log.warning("\(reason); joining again")
      }
    }
  }

  /// Opens the sockets; must be called on the thread that then calls `run`.
  ///
  /// - Parameter isKnown: whether the server has let this process in before.
  package init(
    context: Context, options: MemberOptions, log: Logger, signals: Signals? = nil,
    orders: Mailbox<String>? = nil, abandoned: Mailbox<String>? = nil,
    probe: (any StepProbe)? = nil, recorder: FlightRecorder? = nil, isKnown: Bool = false
  ) throws {
    self.options = options
    self.isKnown = isKnown
    self.recorder = recorder
    self.log = log
    self.probe = probe
    self.signals = signals
    self.orders = orders
    self.abandoned = abandoned
    patience = Patience(
      options.server, seconds: options.joinTimeoutSeconds, since: MonotonicClock.now())
    silence = ServerSilence(options.server, since: MonotonicClock.now())
    incarnation = UInt64.random(in: 1...UInt64.max)
    identity = Header(run: 0, view: 0, sender: NodeID(0), incarnation: incarnation)
    let security = options.security
    hub = try Hub(
      context: context, listen: options.role.holdsParameters ? options.listen : nil,
      security: security.map { .shared($0.cluster) } ?? HubSecurity())
    control = try hub.dial(options.server, with: security?.server, isControl: true)
    bulk = try hub.dial(options.server, with: security?.server)
  }

  /// Runs until the server ends the run or this node leaves.
  ///
  /// - Throws: `NodeError` when the node cannot join or go on; `TransportError` from sockets.
  package func run() throws -> End {
    defer { hub.close(lingerMilliseconds: 1000) }
    let ended = Result { try runTurns() }
    endRole()
    try ended.get()
    // Whoever was told to go does not come back.
    if leavingSince != nil, case .joinAgain(let reason) = result {
      return .stop(Stop(outcome: .interrupted, reason: reason))
    }
    // Nor does who has nobody to come back to.
    if let abandonment, case .joinAgain = result {
      return .stop(Stop(outcome: .failed, reason: abandonment.reason))
    }
    return result ?? .stop(Stop(outcome: .failed, reason: "no result"))
  }

  private func runTurns() throws {
    while result == nil {
      let before = MonotonicClock.now()
      do {
        try turn()
      } catch {
        // The server need not wait for the silence to be noticed.
        send(Message(identity, .leave(Leave(reason: "\(error)"))), over: control)
        throw error
      }
      let busy = MonotonicClock.now()
      largestGap = max(largestGap, busy - before)
      _ = try hub.wait(
        milliseconds: 50, wakeUp: role?.wakeUp,
        extraDescriptors: signals.map { [$0.descriptor] } ?? [])
    }
    DrillExecution.tellOfEnd(hub: hub, log: log, ending: true)
    // Let the goodbye go out before the sockets close.
    let end = MonotonicClock.now() + 500_000
    while hub.queuedBytes > 0, MonotonicClock.now() < end {
      // A hub with events that nobody has taken does not wait.
      _ = hub.takeEvents()
      _ = try hub.wait(milliseconds: 20, wakeUp: nil)
    }
  }

  /// One pass over everything that may have happened.
  func turn() throws {
    let now = MonotonicClock.now()
    if let gap = pauses.look(now) {
      patience.slept(gap)
      silence.slept(gap)
      handshakes.slept(gap)
      serverLostAt = serverLostAt.map { min(now, $0 + gap) }
    }
    while let number = signals?.next() {
      switch endSignals.take(number, now: now) {
      case .inOrder, .atOnce: leave(Signals.name(number), now)
      case .again, .nothing: break
      }
    }
    for reason in orders?.drain() ?? [] { leave(reason, now) }
    for reason in abandoned?.drain() ?? [] { abandon(reason, now) }
    try watch(now)
    DrillExecution.tellOfEnd(hub: hub, log: log)
    var budget = 256
    while budget > 0, result == nil, let (link, parts) = try hub.receive() {
      budget -= 1
      try receive(link, parts)
    }
    // After the last word there is none, also of one who got ready just now.
    guard result == nil else { return }
    endIfAbandoned(now)
    if let role {
      let (asks, line) = silence.look(now)
      if let line { log.warning(line) }
      if asks { send(Message(identity, .statusRequest), over: control) }
      complainAgain(role)
      carryOut(try role.takeReports(now: MonotonicClock.now()))
      carryOut(role.tick(now: MonotonicClock.now()))
      if hub.queuedBytes(to: bulk) == 0 { carryOut(role.drained(now: MonotonicClock.now())) }
      if let part = tracing.finish(turn: role.currentTurn, now: MonotonicClock.now()) {
        send(Message(identity, part.body, frames: part.frames), over: bulk)
      }
      if role.isPrepared {
        askForNews(role, now)
      } else if result == nil {
        carryOut(preparing?.tick(now: MonotonicClock.now()))
      }
    } else {
      try askToJoin(now)
    }
  }

  // MARK: Joining

  private func askToJoin(_ now: Microseconds) throws {
    let handshake = handshakes.trouble(now: now).map {
      Credentials.explain($0, at: options.server, with: options.security?.credentials)
    }
    if let line = try patience.look(now, trouble: handshake ?? refusal) { log.info(line) }
    guard lastJoin.map({ now - $0 >= 1_000_000 }) ?? true else { return }
    if lastJoin == nil { log.info("looking for the server at \(options.server)") }
    lastJoin = now
    let join = Join(
      role: options.role, host: Host.name, processID: getpid(), softwareVersion: Version.text,
      endpoint: options.role.holdsParameters ? try advertisedEndpoint() : "",
      preferredRank: Int32(options.preferredRank), allowsDrills: options.allowsDrills)
    send(Message(identity, .join(join)), over: control)
  }

  /// What others dial: the bound endpoint, with this machine's name in place of a wildcard.
  private func advertisedEndpoint() throws -> String {
    if let advertise = options.advertise { return advertise }
    guard let bound = hub.boundEndpoint else {
      throw NodeError("a \(options.role.rawValue) without an endpoint")
    }
    return Host.reachable(bound, from: options.server)
  }

  private func welcomed(_ message: Message, _ welcome: Welcome) throws {
    guard role == nil else { return }
    guard let frame = message.frames.first else {
      throw NodeError("the server's welcome carries no configuration")
    }
    let text = String(decoding: frame.bytes, as: UTF8.self)
    let configuration = try RunConfiguration.parse(text: text, source: "the server's configuration")
    let context = try RunContext(configuration, inputs: options.inputs)
    if let told = options.serverShards, told != context.plan.shards.count {
      throw NodeError(
        "told to be one of \(told) server shards, but the run has \(context.plan.shards.count)")
    }
    isKnown = true
    identity.run = message.header.run
    identity.sender = welcome.node
    serverIncarnation = message.header.incarnation
    recorder?.rename("\(NodeName(options.role, welcome.rank))")
    // Several nodes' lines may stand in one place.
    log.rename("\(NodeName(options.role, welcome.rank))")
    log.info(
      "joined run \(Version.runName(identity.run)) as \(NodeName(options.role, welcome.rank))")
    let start = RoleStart(
      context: context, identity: identity, serverIncarnation: serverIncarnation,
      threads: options.threads, probe: probe, recorder: tracing.recorder,
      rank: welcome.rank)
    tracing.plan = context.plan
    preparing = PreparingCore(
      plan: context.plan, identity: identity, serverIncarnation: serverIncarnation,
      now: MonotonicClock.now())
    role =
      switch options.role {
      case .worker: try WorkerRole(start)
      case .shard: try ShardRole(start)
      case .fc, .server, .observer: try FCRole(start)
      }
  }

  private func carryOut(_ directives: [PreparingCore.Directive]?) {
    for directive in directives ?? [] {
      switch directive {
      case .send(let message): send(message, over: control)
      case .exit(let stop): result = .stop(stop)
      }
    }
  }

  /// Whoever is ready and in no view yet wants to know what the others are waited for.
  private func askForNews(_ role: any MemberRole, _ now: Microseconds) {
    guard role.viewNumber == 0, news.isDue(now) else { return }
    send(Message(identity, .statusRequest), over: control)
  }

  // MARK: What comes in

  func receive(_ link: Hub.Link, _ parts: [Frame]) throws {
    if Probe.isOne(parts) {
      if echoes.takes(parts, from: link, queued: hub.queuedBytes(to: link)) {
        _ = hub.send(parts, to: link)
      } else {
        try? hub.noteRefused(link)
      }
      return
    }
    let message: Message
    do throws(WireError) {
      message = try WireCodec.decode(parts)
    } catch {
      return broken(link, "\(error)")
    }
    // Nobody but the server is at the other end of these two, and nobody else dials it for us.
    guard
      link == control || link == bulk
        || message.header.sender != .server && !message.body.isServersOnly
    else { return broken(link, "it speaks as the server") }
    recorder?.note(.received, parts)
    noteRoute(of: message.header, link)
    if link == control || link == bulk { silence.heard(MonotonicClock.now()) }
    switch message.body {
    case .welcome(let welcome): try welcomed(message, welcome)
    case .refusal(let refusal):
      guard message.header.sender == .server else { return }
      try refused(refusal)
    case .traceRequest(let request):
      guard let role, message.header.run == identity.run, message.header.sender == .server,
        message.header.incarnation == serverIncarnation
      else { return }
      tracing.begin(request, turn: role.currentTurn, now: MonotonicClock.now())
    case .drill(let drill):
      guard let role, message.header.incarnation == serverIncarnation else { return }
      DrillExecution.carryOut(
        drill, isAllowed: options.allowsDrills, hub: hub, log: log,
        stall: role.stall(milliseconds:), fillDisk: { _ in })
    case .logRequest(let request):
      guard link == control, message.header.sender == .server else { return }
      let (reply, frames) = log.reply(to: request)
      send(Message(identity, .logReply(reply), frames: frames), over: control)
    case .statusReply:
      guard link == control, role?.viewNumber == 0, let line = news.line(of: message.frames) else {
        return
      }
      log.info(line)
    default:
      guard let role else { return }
      guard role.isPrepared else { return carryOut(preparing?.handle(message)) }
      tracing.receives(message, by: identity.sender)
      carryOut(role.deliver(message, now: MonotonicClock.now()))
    }
  }
}
