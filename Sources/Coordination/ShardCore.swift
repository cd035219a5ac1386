package import Messages
import Network
package import Tensors

/// The protocol of a parameter server beside the coordinator: one event in, a list of directives
/// out. No socket, clock or thread.
///
/// It owns some chunks of the convolutional parameters and does with them what the coordinator does
/// with its own: sums what the workers push, steps, sends the new parameters unasked. Clock,
/// membership and commit are the coordinator's. As on an FC node there are two versions: a turn's
/// steps go into the *working* one, which becomes the *committed* one once the turn is known to be
/// committed (docs/design.md, "Membership").
package struct ShardCore: MemberCore {
  package typealias Own = Never

  /// Work for the compute thread, done in the order given.
  package enum Operation: Sendable {
    /// Sum the gradients in worker order, step the chunk from the committed version into the
    /// working one.
    case apply(chunk: Int, gradients: [Frame], step: UInt64)
    /// The working version becomes the committed one: after `step + 1` steps.
    case commit(step: UInt64)
    /// Frames of the shard's chunks of the committed version, which has seen `version` steps.
    case snapshot(to: NodeID, version: UInt64)
    /// Hand out the chunks; for a checkpoint (a transfer above 0) with their velocities.
    case collect(transfer: UInt32)
    /// Take the values that the run began with, velocities zero.
    case redraw
    /// Take a piece of a parameter or of its velocity.
    case place(Slice, [Frame])
  }

  package enum Outcome: Sendable {
    case done
    /// The chunk's new parameters.
    case applied(Frame)
    /// A number is infinite or not a number; by which position among the workers, if by one.
    case notFinite(worker: Int?, what: String)
    /// The shard's chunks in order.
    case snapshot([Frame])
    case slices([(Slice, [Frame])])
    case failed(String)
  }

  let plan: RunPlan
  let identity: Header
  /// Which shard this is; at least 1.
  let rank: Int
  /// The chunks it owns, ascending.
  let chunks: [Int]
  package internal(set) var gate: ViewGate
  var program: TurnProgram?
  /// The training turn whose gradients come in: the first one that is not wholly in `working`.
  package internal(set) var turn: UInt64 = 0
  /// No view, or the last one: no turn is under way.
  var isIdle = true
  /// Gradients of this turn by chunk and worker position.
  var pushes: [Int: [Int: Frame]] = [:]
  /// Chunks handed to the compute thread, and those done.
  var applying: Set<Int> = []
  var applied: Set<Int> = []
  /// Turns below this one are known to be committed.
  var committedBelow: UInt64 = 0
  /// The last turn that the server has said begins, and with it the learning rate.
  var announced: UInt64 = 0
  /// A turn whose steps are all in the working version, and not yet known to be committed.
  var working: UInt64?
  /// Training steps that the committed version has seen.
  package internal(set) var appliedSteps: UInt64 = 0
  /// The restore under way, and the last one that is complete.
  var restoring: Restore?
  /// What has come of it.
  var pieces = PieceSequence()
  var restored: UInt32 = 0

  var clock: PhaseClock
  var lastBeat: Microseconds?
  var nextOperation: UInt64 = 0
  var outstanding: [OperationID: Operation] = [:]
  var stopped = false

  /// - Parameters:
  ///   - identity: header of this node's messages; its view is filled in.
  ///   - rank: the shard that it is; below `plan.shards.count`.
  package init(
    plan: RunPlan, identity: Header, serverIncarnation: UInt64, rank: Int, now: Microseconds
  ) {
    self.plan = plan
    self.identity = identity
    self.rank = rank
    chunks = plan.shards.chunks[rank]
    gate = ViewGate(run: identity.run, serverIncarnation: serverIncarnation)
    clock = PhaseClock(.waitingForView, now: now)
  }

  package mutating func handle(_ event: Event, now: Microseconds) -> [Directive] {
    respond(to: event, now)
  }

  // MARK: Messages

  mutating func receive(_ message: Message, _ now: Microseconds, _ out: inout [Directive]) {
    guard !takeAboveViews(message, now, &out), !takeTransfer(message, now, &out),
      gate.admit(message)
    else { return }
    switch message.body {
    case .pull: pull(message.header.sender, &out)
    case .push(let push): take(push, message.frames, from: message.header.sender, now, &out)
    case .advance(let advance): self.advance(to: advance.turn, now, &out)
    default: gate.count(.unexpected)
    }
  }

  // MARK: Views

  mutating func enter(
    _ view: View, _ program: TurnProgram, _ now: Microseconds, _ out: inout [Directive]
  ) -> Bool {
    isIdle = true
    guard view.shards.contains(where: { $0.node == identity.sender }) else {
      sayGoodbye(Stop(outcome: .interrupted, reason: "left the run"), &out)
      return false
    }
    // That all of a committed turn's steps are done the coordinator knew from this shard.
    guard resume(view, program, &out) else { return false }
    announce(view, &out)
    announced = view.resumeTurn
    if view.isFinal {
      clock.enter(.ending, now: now)
      compute(.collect(transfer: 0), &out)
    } else {
      isIdle = false
      begin(program.trainingTurn(from: view.resumeTurn), now)
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
    case (.apply(let chunk, _, let step), .applied(let frame)):
      finishedChunk(chunk, step, frame, now, &out)
    case (.apply, .notFinite(let worker, let what)): refuse(worker, what, &out)
    case (.commit, _), (.redraw, _), (.place, _): break
    case (.snapshot(let worker, let version), .snapshot(let frames)):
      // First layers first: the worker needs them first.
      for (chunk, frame) in zip(chunks, frames) {
        let body = Parameters(version: version, chunk: chunk)
        out.append(.send(message(.parameters(body), [frame]), to: .member(worker)))
      }
    case (.collect, .slices(let slices)): handOver(slices, &out)
    default: preconditionFailure("operation \(operation) ended with \(outcome)")
    }
  }
}
