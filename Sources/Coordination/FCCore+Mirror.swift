import Messages
import Network
import Tensors

/// The neighbour's slice, kept beside the own one so that the loss of an FC node costs no step.
///
/// What a slice's gradient needs besides the FC nodes' common exchanges is one more exchange, after
/// the last segment: from each node to the next. Who has it makes the same step as its neighbour.
/// A training turn is committed only once every node has said that it can (`Applied`).
extension FCCore {
  /// The number of the exchange with the mirror.
  var mirrorExchange: Int { plan.trainingSegments - 1 }

  /// Whether the turn under way has an exchange with the mirror.
  var owesMirror: Bool {
    guard plan.mirrorsFC, let program, turn < program.count else { return false }
    return program[turn].isTraining
  }

  /// Makes the neighbour's step once all of it has come and the own part of the turn is over, and
  /// says so: then the turn may be committed.
  mutating func mirrorIfComplete(_ out: inout [Directive]) {
    guard let turn = mirroring, let program, case .training(let step) = program[turn] else {
      return
    }
    let neighbour = plan.mirrored(by: position)
    let received = lanes.indices.map { lane in
      inbox[Key(turn: turn, subBatch: lane)]?.exchanges[mirrorExchange]?[neighbour]
    }
    guard received.allSatisfy({ $0 != nil }) else { return }
    mirroring = nil
    inbox = inbox.filter { $0.key.turn > turn }
    compute(.mirror(step: step, received.map { $0 ?? [] }), &out)
    out.append(.send(message(.applied(Applied(turn: turn))), to: .server))
  }

  /// What the mirror still waits for.
  var mirrorNeed: Need? {
    guard let turn = mirroring, let view = gate.view else { return nil }
    let neighbour = view.fcNodes[plan.mirrored(by: position)]
    return Need(.member(neighbour.name), "its mirror's part of turn \(turn)")
  }
}
