package import Messages
import Network
import Tensors

/// An FC node's protocol: one event in, a list of directives out. No socket, clock or thread.
///
/// A turn is a row of segments of computation with an exchange among the FC nodes between each two
/// (`DenseCut.segmentCount`). The gradient of a training turn is kept as the *working* version and
/// applied once the turn is known to be committed, so a turn is applied exactly once whatever dies
/// when (docs/design.md, "Membership").
package struct FCCore: MemberCore {
  package typealias Own = Never

  /// A sub-batch of a turn.
  struct Key: Hashable, Sendable {
    let turn: UInt64
    let subBatch: Int
  }

  /// What has come for one sub-batch.
  struct Inbox: Sendable {
    var features: [Int: FeatureBlock] = [:]
    var exchanges: [Int: [Int: [Frame]]] = [:]
  }

  let plan: RunPlan
  let identity: Header
  /// Bytes of a row of exchange `e` from position `j`: `[e][j]`.
  let exchangeRowBytes: [[Int]]
  package internal(set) var gate: ViewGate
  var program: TurnProgram?
  var position = 0
  package internal(set) var turn: UInt64 = 0
  /// No view, or the last one: no turn is under way.
  var isIdle = true
  /// The sub-batches of the turn.
  var lanes: [Lane] = []
  var inbox: [Key: Inbox] = [:]
  /// Turns below this one are known to be committed.
  var committedBelow: UInt64 = 0
  /// The last turn that the server has said begins, and with it the learning rate.
  var announced: UInt64 = 0
  /// A training turn whose gradient is computed or being computed, and not yet applied.
  var working: UInt64?
  /// A training turn that is over here while its neighbour's part of the mirror's step is missing.
  var mirroring: UInt64?
  /// Training steps applied: must always equal the steps committed below the working turn.
  package internal(set) var appliedSteps: UInt64

  /// Whether slices are left to hand in once those before have gone out.
  package internal(set) var handsInMore = false

  /// A turn that this node gives no feature gradients of, as its numbers are not finite.
  var refusedTurn: UInt64?

  /// The restore under way, and the last one that is complete.
  var restoring: Restore?
  /// What has come of it.
  var pieces = PieceSequence()
  var restored: UInt32 = 0

  var clock: PhaseClock
  var lastBeat: Microseconds?
  var nextOperation: UInt64
  var outstanding: [OperationID: Operation] = [:]
  var stopped = false

  /// - Parameters:
  ///   - identity: header of this node's messages; its view is filled in.
  ///   - exchangeRowBytes: size of a row of exchange `e`'s payload from position `j`, `[e][j]`, so
  ///     that a wrong one is refused before the kernels see it.
  ///   - appliedSteps: training steps in the parameters; in a replay.
  ///   - firstOperation: the number of the first operation; in a replay.
  package init(
    plan: RunPlan, identity: Header, serverIncarnation: UInt64, exchangeRowBytes: [[Int]],
    appliedSteps: UInt64 = 0, firstOperation: UInt64 = 0, now: Microseconds
  ) {
    self.appliedSteps = appliedSteps
    nextOperation = firstOperation
    self.plan = plan
    self.identity = identity
    self.exchangeRowBytes = exchangeRowBytes
    gate = ViewGate(run: identity.run, serverIncarnation: serverIncarnation)
    clock = PhaseClock(.waitingForView, now: now)
  }

  package mutating func handle(_ event: Event, now: Microseconds) -> [Directive] {
    respond(to: event, now)
  }

  mutating func drained(_ out: inout [Directive]) {
    guard handsInMore else { return }
    handsInMore = false
    compute(.collectNext, &out)
  }

  // MARK: Messages

  mutating func receive(_ message: Message, _ now: Microseconds, _ out: inout [Directive]) {
    guard !takeAboveViews(message, now, &out), !takeTransfer(message, now, &out),
      gate.admit(message)
    else { return }
    switch message.body {
    case .activations(let activations):
      take(activations, from: message.header.sender, message.frames, now, &out)
    case .exchange(let exchange):
      take(exchange, from: message.header.sender, message.frames, now, &out)
    case .advance(let advance):
      committed(below: advance.turn, &out)
      announced = max(announced, advance.turn)
      if !isIdle { for lane in lanes.indices { startIfComplete(lane, now, &out) } }
    default: gate.count(.unexpected)
    }
  }

  // MARK: Views

  mutating func enter(
    _ view: View, _ program: TurnProgram, _ now: Microseconds, _ out: inout [Directive]
  ) -> Bool {
    inbox = [:]
    handsInMore = false
    isIdle = true
    guard let position = view.fcNodes.firstIndex(where: { $0.node == identity.sender }) else {
      sayGoodbye(Stop(outcome: .interrupted, reason: "left the run"), &out)
      return false
    }
    self.position = position
    mirroring = nil
    refusedTurn = nil
    guard resume(view, program, &out) else { return false }
    announce(view, &out)
    out.append(.meet(view.fcNodes.filter { $0.node != identity.sender }))
    turn = view.resumeTurn
    announced = view.resumeTurn
    if view.isFinal {
      clock.enter(.ending, now: now)
      compute(.collect(transfer: 0, mirrored: false), &out)
    } else {
      collect(now, &out)
    }
    return true
  }

  // MARK: Computation

  mutating func finished(
    _ id: OperationID, _ outcome: Outcome, _ now: Microseconds, _ out: inout [Directive]
  ) {
    if case .failed(let reason) = outcome { return fail(reason, &out) }
    guard let operation = outstanding.removeValue(forKey: id) else { return }
    clock.progressed(now: now)
    switch (operation, outcome) {
    case (.start(_, let lane, _), .segment(let result)):
      finishedSegment(0, lane, result, now, &out)
    case (.segment(let index, let lane, _, _, _, _), .segment(let result)):
      finishedSegment(index, lane, result, now, &out)
    case (.gradients, _), (.stepSubBatch, _), (.mirror, _), (.apply, _), (.redraw, _), (.place, _):
      break
    case (.collect, .slices(let slices)), (.collectNext, .slices(let slices)):
      handOver(slices, &out)
      handsInMore = slices.last.map { !$0.0.isLast } ?? false
    default: preconditionFailure("operation \(operation) ended with \(outcome)")
    }
  }
}
