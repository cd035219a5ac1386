import Messages
import Tensors

/// What workers, FC nodes and server shards do alike: messages of their own, work for the compute
/// thread, the words that stand above views, and the ways to go.
protocol MemberConduct: MemberCore {
  var plan: RunPlan { get }
  /// Header of this node's messages; its view is filled in.
  var identity: Header { get }
  var gate: ViewGate { get set }
  /// Of the present view; `nil` before the first one.
  var program: TurnProgram? { get set }
  var clock: PhaseClock { get set }
  var lastBeat: Microseconds? { get set }
  var nextOperation: UInt64 { get set }
  var outstanding: [OperationID: Operation] { get set }
  /// Nothing is done any more.
  var stopped: Bool { get set }
  /// What it waits for, and from whom; never nothing.
  var needs: [Need] { get }

  mutating func receive(_ message: Message, _ now: Microseconds, _ out: inout [Directive])
  /// Takes up a view that is new; nothing of the one before is under way.
  ///
  /// - Returns: whether it takes part; if not, it has no use for what came early.
  mutating func enter(
    _ view: View, _ program: TurnProgram, _ now: Microseconds, _ out: inout [Directive]
  ) -> Bool
  mutating func finished(
    _ id: OperationID, _ outcome: Outcome, _ now: Microseconds, _ out: inout [Directive])
  mutating func beat(_ now: Microseconds, _ out: inout [Directive])
  /// What was sent to the server in bulk has gone out.
  mutating func drained(_ out: inout [Directive])
}

extension WorkerCore: MemberConduct {}

extension MemberConduct {
  mutating func drained(_ out: inout [Directive]) {}

  mutating func respond(to event: Event, _ now: Microseconds) -> [Directive] {
    guard !stopped else { return [] }
    var out: [Directive] = []
    switch event {
    case .message(let message): receive(message, now, &out)
    case .computed(let id, let outcome): finished(id, outcome, now, &out)
    case .tick: beat(now, &out)
    case .drained: drained(&out)
    case .leave(let reason): leave(reason, &out)
    }
    return out
  }

  // MARK: Messages

  func message(_ body: Body, _ frames: [Frame] = []) -> Message {
    var header = identity
    header.view = gate.view?.number ?? 0
    return Message(header, body, frames: frames)
  }

  /// Counts a message that does not fit the plan, and tells the server of its sender, once a view.
  mutating func complain(of sender: NodeID, _ what: String, _ out: inout [Directive]) {
    guard let (body, note) = gate.complaint(of: sender, what) else { return }
    out.append(.send(message(body), to: .server))
    out.append(.note(note))
  }

  /// Takes a new view or the end of the run, which come in any view.
  ///
  /// - Returns: whether the message was one of these.
  mutating func takeAboveViews(
    _ message: Message, _ now: Microseconds, _ out: inout [Directive]
  ) -> Bool {
    switch message.body {
    case .view(let view):
      if gate.admitsFromServer(message.header) { change(to: view, now, &out) }
    case .stop(let stop):
      if gate.admitsFromServer(message.header) { sayGoodbye(stop, &out) }
    default: return false
    }
    return true
  }

  private mutating func change(
    to view: View, _ now: Microseconds, _ out: inout [Directive]
  ) {
    guard let early = gate.advance(to: view) else { return }
    let program = plan.program(view.dataset)
    self.program = program
    // Whatever was under way belongs to the old view; late results are recognised by their id.
    outstanding = [:]
    guard enter(view, program, now, &out) else { return }
    for message in early { receive(message, now, &out) }
  }

  /// Says for people which view it is in now.
  func announce(_ view: View, _ out: inout [Directive]) {
    out.append(
      .note(
        "view \(view.number): \(view.workers.count) workers, \(view.fcNodes.count) fc nodes, "
          + "turn \(view.resumeTurn)"))
  }

  /// A sign of life, if one is due.
  ///
  /// - Parameter fill: adds what only this role says.
  mutating func beat(
    _ now: Microseconds, _ out: inout [Directive], fill: (inout Heartbeat) -> Void
  ) {
    if let lastBeat, now < lastBeat + plan.timing.heartbeat * 1000 { return }
    lastBeat = now
    var telemetry = Telemetry()
    telemetry.stepMilliseconds = clock.takeStepTimes(now: now)
    telemetry.droppedMessages = gate.droppedCount
    var heartbeat = Heartbeat(
      ready: true, dataset: nil, turn: turn, phase: clock.phase.rawValue,
      millisecondsSinceProgress: clock.millisecondsSinceProgress(now: now), telemetry: telemetry,
      waits: Array(waits(now: now).prefix(Heartbeat.mostWaits)))
    fill(&heartbeat)
    out.append(.send(message(.heartbeat(heartbeat)), to: .server))
  }

  /// What it waits for, with how long it has done so; never nothing.
  func waits(now: Microseconds) -> [Wait] {
    let milliseconds = clock.millisecondsSinceProgress(now: now)
    return needs.map { Wait(owner: $0.owner, what: $0.what, milliseconds: milliseconds) }
  }

  // MARK: Computation

  /// Gives the compute thread something to do, which it does in the order given.
  mutating func compute(_ operation: Operation, _ out: inout [Directive]) {
    let id = OperationID(nextOperation)
    nextOperation += 1
    outstanding[id] = operation
    out.append(.compute(id, operation))
  }

  // MARK: The end

  mutating func exit(_ stop: Stop, _ out: inout [Directive]) {
    out.append(.exit(stop))
    stopped = true
  }

  /// Goes as the server says, and tells it so.
  mutating func sayGoodbye(_ stop: Stop, _ out: inout [Directive]) {
    out.append(.send(message(.goodbye), to: .server))
    exit(stop, &out)
  }

  /// Goes by itself, since it cannot go on.
  mutating func fail(_ reason: String, _ out: inout [Directive]) {
    out.append(.send(message(.leave(Leave(reason: reason))), to: .server))
    exit(Stop(outcome: .failed, reason: reason), &out)
  }

  /// Asks to go; the next view without it lets it.
  mutating func leave(_ reason: String, _ out: inout [Directive]) {
    out.append(.send(message(.leave(Leave(reason: reason))), to: .server))
    out.append(.note("leaving: \(reason)"))
    // Nobody counts on this node before its first view, so nobody will tell it to go.
    if gate.view == nil { exit(Stop(outcome: .interrupted, reason: reason), &out) }
  }
}
