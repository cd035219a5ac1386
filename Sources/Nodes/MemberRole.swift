import Coordination
import Messages
import Training
import Transport

/// What a role does between the socket loop and its core.
protocol MemberRole: AnyObject {
  /// Readable when the compute thread has something to say.
  var wakeUp: WakeUp { get }
  /// Whether the core runs: data is open, memory planned.
  var isPrepared: Bool { get }
  var viewNumber: UInt32 { get }
  var currentTurn: UInt64 { get }
  func deliver(_ message: Message, now: Microseconds) -> [SessionDirective]
  func takeReports(now: Microseconds) throws(NodeError) -> [SessionDirective]
  func tick(now: Microseconds) -> [SessionDirective]
  /// Nothing that was sent to the server in bulk waits in this process any more.
  func drained(now: Microseconds) -> [SessionDirective]
  func leave(reason: String, now: Microseconds) -> [SessionDirective]
  /// Has the compute thread do nothing for a while.
  func stall(milliseconds: Int)
  /// What people call a member of the present view.
  func name(of node: NodeID) -> NodeName?
  /// Adds to a heartbeat what only the role knows.
  func fill(_ telemetry: inout Telemetry, now: Microseconds)
  /// Joins the role's threads.
  func stop()
}

extension MemberRole {
  func drained(now: Microseconds) -> [SessionDirective] { [] }
  func fill(_ telemetry: inout Telemetry, now: Microseconds) {}
}

/// What a role asks of its session: a core's directives, less those that the role carries out itself.
enum SessionDirective {
  case send(Message, Destination)
  case meet([Member])
  case note(String)
  /// As `note`, of what somebody may want to do something about.
  case warning(String)
  case exit(Stop)
  /// The core asked for an operation, which has been handed to the compute thread: for the flight
  /// recorder, with a word that a replay needs.
  case asked(OperationID, String)
  /// The core heard that what it had sent has gone out: for the flight recorder.
  case drained
  /// An operation is done: for the flight recorder.
  case computed(OperationID, failure: String?)
  /// An operation has failed so that the run cannot go on: for the flight recorder.
  case hopeless(OperationID, String)
  /// An operation has found a number that is not finite, of a worker or in a depth: for the flight
  /// recorder.
  case notFinite(OperationID, Int, String)
}

/// What a role is made from once the server has welcomed it.
struct RoleStart: Sendable {
  let context: RunContext
  let identity: Header
  let serverIncarnation: UInt64
  let threads: Int
  let probe: (any StepProbe)?
  let recorder: SpanRecorder
  /// The rank the server gave.
  let rank: Int
}
