import Coordination
import Messages
import Transport

/// A role that is a core with a compute thread beside it, as all are: what they do alike.
protocol CoreRole: MemberRole {
  associatedtype Core: MemberCore
  /// What the compute thread has found out before the core can start.
  associatedtype Preparation: Sendable

  var compute: ComputeThread<Core.Operation, Core.Outcome, Preparation> { get }
  /// `nil` until the compute thread is prepared.
  var core: Core? { get set }

  /// Makes the core, the compute thread being prepared.
  ///
  /// - Returns: also what the node is ready with, for people.
  func begin(_ preparation: Preparation, now: Microseconds) -> (core: Core, ready: String)
  /// Sees each message before the core does.
  func read(_ message: Message) -> [SessionDirective]
  /// Does what only this role's core asks for.
  func carryOut(_ own: Core.Own)
  /// What the flight recorder keeps of an operation that the core asks for.
  func asked(_ id: OperationID, _ operation: Core.Operation) -> SessionDirective?
  /// What the flight recorder keeps of how an operation ended.
  func computed(_ id: OperationID, _ outcome: Core.Outcome) -> SessionDirective?
}

extension CoreRole {
  var wakeUp: WakeUp { compute.reports.wakeUp }
  var isPrepared: Bool { core != nil }
  var viewNumber: UInt32 { core?.viewNumber ?? 0 }
  var currentTurn: UInt64 { core?.turn ?? 0 }

  func name(of node: NodeID) -> NodeName? { core?.name(of: node) }

  func read(_ message: Message) -> [SessionDirective] { [] }

  func deliver(_ message: Message, now: Microseconds) -> [SessionDirective] {
    read(message) + handle(.message(message), now)
  }

  func tick(now: Microseconds) -> [SessionDirective] { handle(.tick, now) }

  func leave(reason: String, now: Microseconds) -> [SessionDirective] {
    handle(.leave(reason: reason), now)
  }

  func takeReports(now: Microseconds) throws(NodeError) -> [SessionDirective] {
    var out: [SessionDirective] = []
    for report in compute.reports.drain() {
      switch report {
      case .prepared(let preparation):
        let (core, ready) = begin(preparation, now: now)
        self.core = core
        out.append(.note("ready: \(ready)"))
      case .failed(let reason): throw NodeError(reason)
      case .finished(let id, let outcome):
        if let computed = computed(id, outcome) { out.append(computed) }
        out += handle(.computed(id, outcome), now)
      }
    }
    return out
  }

  func stall(milliseconds: Int) { compute.stall(milliseconds: milliseconds) }

  func stop() { compute.stop() }

  /// Has the core take an event, and does what is the role's own of what it wants; the rest is the
  /// session's.
  func handle(_ event: Core.Event, _ now: Microseconds) -> [SessionDirective] {
    (core?.handle(event, now: now) ?? []).compactMap { directive -> SessionDirective? in
      switch directive {
      case .send(let message, let destination): return .send(message, destination)
      case .meet(let members): return .meet(members)
      case .note(let text): return .note(text)
      case .exit(let stop): return .exit(stop)
      case .compute(let id, let operation):
        compute.submit(id, operation)
        return asked(id, operation)
      case .own(let own):
        carryOut(own)
        return nil
      }
    }
  }
}

extension CoreRole where Core.Own == Never {
  func carryOut(_ own: Never) {}
}
