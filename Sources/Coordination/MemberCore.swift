import Messages
import Tensors

/// What the shell of every member is asked to do, whatever its role.
protocol MemberDirective {
  associatedtype Operation

  static func send(_ message: Message, to destination: Destination) -> Self
  static func compute(_ id: OperationID, _ operation: Operation) -> Self
  static func note(_ text: String) -> Self
  static func exit(_ stop: Stop) -> Self
}

extension WorkerCore.Directive: MemberDirective {}
extension FCCore.Directive: MemberDirective {}
extension ShardCore.Directive: MemberDirective {}

/// What workers, FC nodes and server shards do alike: messages of their own, work for the compute
/// thread, the words that stand above views, and the ways to go.
protocol MemberCore {
  associatedtype Directive: MemberDirective

  var plan: RunPlan { get }
  /// Header of this node's messages; its view is filled in.
  var identity: Header { get }
  var gate: ViewGate { get set }
  var turn: UInt64 { get }
  var clock: PhaseClock { get set }
  var lastBeat: Microseconds? { get set }
  var nextOperation: UInt64 { get set }
  var outstanding: [OperationID: Directive.Operation] { get set }
  /// Nothing is done any more.
  var stopped: Bool { get set }

  mutating func change(to view: View, _ now: Microseconds, _ out: inout [Directive])
  /// What it waits for, and from whom; never nothing.
  func waits(now: Microseconds) -> [Wait]
}

extension WorkerCore: MemberCore {}

extension MemberCore {
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
      millisecondsSinceProgress: (now - min(now, clock.since)) / 1000, telemetry: telemetry,
      waits: Array(waits(now: now).prefix(Heartbeat.mostWaits)))
    fill(&heartbeat)
    out.append(.send(message(.heartbeat(heartbeat)), to: .server))
  }

  // MARK: Computation

  /// Gives the compute thread something to do, which it does in the order given.
  mutating func compute(_ operation: Directive.Operation, _ out: inout [Directive]) {
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
