package import Messages

/// The protocol of a worker, FC node or server shard as its shell sees it: one event in, a list of
/// directives out.
package protocol MemberCore: Sendable {
  /// Work for the compute thread, done in the order given.
  associatedtype Operation: Sendable
  /// What came of an operation.
  associatedtype Outcome: Sendable
  /// What only this role asks of its shell.
  associatedtype Own: Sendable

  typealias Event = MemberEvent<Outcome>
  typealias Directive = MemberDirective<Operation, Own>

  /// The present view, and what was dropped for not fitting it.
  var gate: ViewGate { get }
  var turn: UInt64 { get }

  /// Takes one event at time `now` and says what to do about it.
  mutating func handle(_ event: Event, now: Microseconds) -> [Directive]
}

extension MemberCore {
  /// The present view's; 0 before the first one.
  package var viewNumber: UInt32 { gate.view?.number ?? 0 }

  /// What people call a member of the present view.
  package func name(of node: NodeID) -> NodeName? { gate.view?.member(node)?.name }
}

/// What happens to a member.
package enum MemberEvent<Outcome: Sendable>: Sendable {
  case message(Message)
  case computed(OperationID, Outcome)
  case tick
  /// What was sent to the server in bulk has gone out: there is room for more.
  case drained
  /// The operator wants this node to go.
  case leave(reason: String)
}

/// What the shell of a member is asked to do.
package enum MemberDirective<Operation: Sendable, Own: Sendable>: Sendable {
  case send(Message, to: Destination)
  case compute(OperationID, Operation)
  /// Whom this node dials in the view: dial the new ones, hang up on others.
  case meet([Member])
  case note(String)
  case exit(Stop)
  case own(Own)
}
