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
  func deliver(_ message: Message, now: Microseconds) -> [MemberDirective]
  func takeReports(now: Microseconds) throws(NodeError) -> [MemberDirective]
  func tick(now: Microseconds) -> [MemberDirective]
  func leave(reason: String, now: Microseconds) -> [MemberDirective]
  /// Adds to a heartbeat what only the role knows.
  func fill(_ telemetry: inout Telemetry, now: Microseconds)
  /// Joins the role's threads.
  func stop()
}

/// A core's directives, less those that the role carries out itself.
enum MemberDirective {
  case send(Message, Destination)
  case meet([Member])
  case note(String)
  case exit(Stop)
}

/// What a role is made from once the server has welcomed it.
struct RoleStart: Sendable {
  let context: RunContext
  let identity: Header
  let serverIncarnation: UInt64
  let threads: Int
  let probe: (any StepProbe)?
  /// The rank the server gave.
  let rank: Int
}
