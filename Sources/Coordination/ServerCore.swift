package import Messages
import Network
package import Tensors

/// The coordinating parameter server's protocol: membership, views, the clock of turns, and whose gradients
/// make a step. One event in, a list of directives out. No socket, clock or thread.
///
/// Membership is in `ServerCore+Membership.swift`, the turn in `ServerCore+Turn.swift`.
package struct ServerCore: Sendable {
  package enum Event: Sendable {
    /// `join` and messages of members; the shell routes replies by incarnation or node.
    case message(Message)
    case computed(OperationID, Outcome)
    /// A member's connection has closed: it is taken for dead at once.
    case connectionLost(NodeID)
    /// A member has sent what breaks the protocol, before it got here.
    case misbehaved(NodeID, reason: String)
    /// A member may be none any more, and not come again as it is.
    case dismissed(NodeID, reason: String)
    /// What was sent to an FC node has gone out: there is room for more of its slices.
    case drained(NodeID)
    /// Who will ask to join next as this process life has proved to have this key.
    case vouched(incarnation: UInt64, caller: String)
    case tick
    /// The server's process did not run for so long.
    case slept(Microseconds)
    /// The operator ends the run.
    case stop(reason: String)
    /// The operator wants a checkpoint after the next step, besides those that are due.
    case checkpointNow
    /// The parameters after `steps` steps have the lowest validation error so far: a checkpoint of
    /// them is wanted, if they are still the committed ones.
    case foundBest(steps: UInt64)
    /// The checkpoint that was begun last is on disk, or could not be written.
    case checkpointed(steps: UInt64, failure: String?)
  }

  package enum Directive: Sendable {
    case send(Message, to: NodeID)
    /// Answer a process that is not a member (yet): the shell knows its connection by incarnation.
    case welcome(NodeID, incarnation: UInt64)
    case refuse(incarnation: UInt64, reason: String, mayJoinAgain: Bool = false)
    case compute(OperationID, Operation)
    /// A turn is committed: a line of the audit trail.
    case committed(CommitRecord)
    /// A training turn is passed over: its step counts, but nobody has applied it.
    case skipped(turn: UInt64, step: UInt64, view: UInt32)
    /// A training turn's measure, some time after its commit.
    case measured(turn: UInt64, step: UInt64, Tally)
    /// An evaluation is complete: with the parameters after `step` steps.
    case evaluated(step: UInt64, Tally)
    case note(String)
    case exit(Stop)
    /// An FC node is lost and the others are to share its layers: over, to be followed by a run
    /// with so many FC nodes that goes on from the last checkpoint.
    case recut(fcNodes: Int)
  }

  /// Work for the compute thread, done in the order given.
  package enum Operation: Sendable {
    /// Sum the gradients in worker order, step the chunk from the committed version into the
    /// working one.
    case apply(chunk: Int, gradients: [Frame], step: UInt64)
    /// The working version becomes the committed one: after `step + 1` steps.
    case commit(step: UInt64)
    /// Frames of the committed version, every chunk of the server's own.
    case snapshot
    /// Sum the slices' counts: the rank of each row's true class.
    case tally(counts: [Frame], lossSum: Double)
    /// Keep the committed version, for a checkpoint whose slices are on their way.
    case beginCheckpoint(steps: UInt64)
    /// Put a piece of a parameter that others hold in its place.
    case store(Slice, [Frame], from: NodeName)
    /// Hand the checkpoint over to be written, all slices being there.
    case finishCheckpoint(steps: UInt64)
    /// Take the committed version from the checkpoint after `steps` steps, or what the run began
    /// with.
    case rollBack(steps: UInt64)
    /// Cut what an FC node or a shard holds out of that checkpoint: some of it, from piece `from`
    /// on.
    case cut(for: NodeName, transfer: UInt32, from: Int)
    /// Write the model and the last checkpoint: all slices are there.
    case save(steps: UInt64)
  }

  package enum Outcome: Sendable {
    case done
    /// The chunk's new parameters.
    case applied(Frame)
    /// A number of the chunk's gradient or of its new parameters is infinite or not a number: by
    /// the worker at this position, or by no single one.
    case notFinite(worker: Int?, what: String)
    case snapshot([Frame])
    case tallied(Tally)
    case slices([(Slice, [Frame])])
    /// The model is written; what else should have been and is not.
    case saved(problem: String?)
    /// The checkpoint to go back to is no good: this older one is, or with 0 what the run began with.
    case wentFurtherBack(steps: UInt64, because: String)
    case failed(String)
  }

  /// Where the run stands.
  package enum State: Hashable, Sendable {
    /// Waits for enough workers and FC nodes.
    case gathering
    case running
    /// Every worker is gone, or an FC node or shard: the others wait for a replacement.
    case paused
    /// The last view: slices come in, the model is written.
    case ending(Stop)
    /// Everything is said; waits for the goodbyes until the deadline.
    case farewell(Stop, deadline: Microseconds)
    case over
  }

  let plan: RunPlan
  let identity: Header
  package internal(set) var state = State.gathering
  package internal(set) var membership = Membership()
  package internal(set) var view: View?
  package internal(set) var dataset: DatasetFacts?
  package internal(set) var program: TurnProgram?
  package internal(set) var turn: UInt64 = 0
  package internal(set) var droppedMessages: [ViewGate.Reason: UInt64] = [:]

  var ledger: TurnLedger
  /// FC nodes' reports by turn and position: of this turn and, since a training turn does not wait
  /// for them, of the one before.
  var reports: [UInt64: [Int: (report: Report, counts: Frame)]] = [:]
  var measured: Set<UInt64> = []
  var evaluationTally: Tally?
  /// Pieces of others' parameters that have come since the last view asked for them.
  var slices: [NodeID: PieceSequence] = [:]
  /// Whether the operator wants a checkpoint that has not been begun.
  var checkpointAsked = false
  /// When the last checkpoint was begun, or the run.
  var lastCheckpoint: Microseconds
  /// Steps of the last checkpoint that was begun, or of what the run goes on from.
  var lastBegunSteps: UInt64
  /// A checkpoint whose slices are on their way.
  var collecting: CheckpointTransfer?
  /// An FC node that is lost while its mirror hands in what it held.
  var rescue: Rescue?
  /// Number of the last transfer of slices, in either direction.
  var lastTransfer: UInt32 = 0
  /// The restore that FC nodes and shards must have carried out before they take part: 0 for none.
  var requiredRestore: UInt32 = 0
  /// Steps of the parameters that it restores: a checkpoint may be completed meanwhile.
  var restoreSteps: UInt64 = 0
  var restoreSent: Set<NodeID> = []
  /// FC nodes and shards that are being given slices and the next piece of each, once those before have gone
  /// out.
  package internal(set) var cuts: [NodeID: Int] = [:]
  /// FC nodes and shards that want to go and wait for a checkpoint with their slices in it.
  var departing: [NodeID: Departure] = [:]
  /// How often somebody has been put out for breaking the protocol, by `Membership.origin`.
  var offences: [String: Int] = [:]
  /// How often other members have lately said so of a process, and when the last time.
  var complaints: [String: (count: Int, last: Microseconds)] = [:]
  /// Who asked to join last, if it has a key: what it says of itself counts for nothing then.
  var vouched: (incarnation: UInt64, caller: String)?
  /// Steps of the newest checkpoint on disk; what the run began with counts as one.
  package internal(set) var checkpointSteps: UInt64 = 0
  /// Steps of the checkpoint that the run resumes; 0 if it starts anew.
  let resumeSteps: UInt64
  /// Whether the run was under way before, in another life of the server.
  let goesOn: Bool
  /// When the gathering of nodes came further than ever before, and how far: members, those that have
  /// been ready twice.
  var gatheringSince: Microseconds
  var mostGathered = 0
  /// Since when there are fewer workers than the run may go on with.
  var tooFewSince: Microseconds?
  var nextOperation: UInt64 = 0
  var outstanding: [OperationID: Pending] = [:]
  /// What FC nodes have found wrong with the turn, since when, and how many turns right before it
  /// were passed over; the step that the run went back to a checkpoint for.
  var faults: [NodeID: Fault] = [:]
  var faultySince: Microseconds = 0
  var skippedTurns: UInt64 = 0
  var repeatedStep: UInt64?
  /// The last turn committed.
  var lastCommit: CommitRecord?
  var lastProgress: Microseconds
  /// When a stall was last acted upon, and how often in a row without a turn since; at the end
  /// those of the turns count no more.
  var lastStall: Microseconds = 0
  var stalls = 0
  var pace = TurnPace()

  /// An operation under way with what its outcome is for.
  struct Pending: Sendable {
    let operation: Operation
    let turn: UInt64
  }

  /// - Parameters:
  ///   - identity: header of the server's messages; its view is filled in.
  ///   - resumeSteps: steps of the checkpoint that the run resumes; 0 starts anew.
  ///   - goesOn: whether the run was under way before, even if it has no checkpoint.
  package init(
    plan: RunPlan, identity: Header, resumeSteps: UInt64 = 0, goesOn: Bool = false,
    now: Microseconds
  ) {
    self.goesOn = goesOn || resumeSteps > 0
    gatheringSince = now
    self.plan = plan
    self.identity = identity
    self.resumeSteps = resumeSteps
    checkpointSteps = resumeSteps
    lastBegunSteps = resumeSteps
    if resumeSteps > 0 {
      lastTransfer = 1
      requiredRestore = 1
      restoreSteps = resumeSteps
    }
    ledger = TurnLedger(chunks: plan.chunks.chunks.count, workers: 0, now: now)
    lastProgress = now
    lastCheckpoint = now
  }

  /// Optimizer steps committed so far: those of the checkpoint that the run resumes until its length
  /// is known.
  package var committedSteps: UInt64 { program?.version(at: turn) ?? resumeSteps }

  /// Whether every turn is committed: then nobody is needed but for his slices.
  var isDone: Bool { program.map { turn >= $0.count } ?? false }

  /// Takes one event at time `now` and says what to do about it.
  package mutating func handle(_ event: Event, now: Microseconds) -> [Directive] {
    guard state != .over else { return [] }
    var out: [Directive] = []
    switch event {
    case .message(let message): receive(message, now, &out)
    case .computed(let id, let outcome): finished(id, outcome, now, &out)
    case .connectionLost(let node):
      if let record = membership[node] { lose(record, "its connection closed", now, &out) }
    case .misbehaved(let node, let reason):
      if let record = membership[node] {
        putOut(record, "it breaks the protocol: \(reason)", now, &out)
      }
    case .dismissed(let node, let reason):
      if let record = membership[node] {
        sendAway(record, reason, mayJoinAgain: false, now, &out)
      }
    case .vouched(let incarnation, let caller): vouched = (incarnation, caller)
    case .drained(let node): giveNext(node, &out)
    case .tick: tick(now, &out)
    case .slept(let gap): slept(gap, now, &out)
    case .checkpointed(let steps, let failure): checkpointed(steps, failure, now, &out)
    case .checkpointNow: checkpointAsked = true
    case .foundBest(let steps):
      guard plan.makesCheckpoints, steps == committedSteps, steps != checkpointSteps, let program,
        turn < program.count
      else { break }
      if let earlier = collecting?.steps, earlier != steps {
        out.append(
          .note(
            "the parameters after \(steps) steps, the best so far, are not kept: the checkpoint "
              + "after \(earlier) steps is still being written"))
      }
      beginCheckpoint(now, &out)
    case .stop(let reason):
      end(Stop(outcome: .interrupted, reason: reason), now, &out)
    }
    return out
  }

  // MARK: Messages

  func message(_ body: Body, _ frames: [Frame] = []) -> Message {
    var header = identity
    header.view = view?.number ?? 0
    return Message(header, body, frames: frames)
  }

  mutating func drop(_ reason: ViewGate.Reason) { droppedMessages[reason, default: 0] += 1 }

  private mutating func receive(_ message: Message, _ now: Microseconds, _ out: inout [Directive]) {
    if case .join(let join) = message.body {
      return admit(join, incarnation: message.header.incarnation, now, &out)
    }
    guard message.header.run == identity.run else { return drop(.otherRun) }
    guard let record = membership[message.header.sender] else { return drop(.notAMember) }
    guard record.incarnation == message.header.incarnation else { return drop(.oldIncarnation) }
    membership.update(record.node) { $0.lastHeard = now }
    switch message.body {
    case .heartbeat(let heartbeat): take(heartbeat, from: record, now, &out)
    case .leave(let leave): take(leave, from: record, now, &out)
    case .goodbye: bid(record, now, &out)
    case .complaint(let complaint):
      guard inView(message.header) else { return }
      take(complaint, from: record, now, &out)
    case .report(let report):
      take(report, message, from: record, now, &out)
    case .applied(let applied):
      guard inView(message.header) else { return }
      take(applied, from: record, now, &out)
    case .fault(let fault):
      guard inView(message.header) else { return }
      take(fault, from: record, now, &out)
    case .push(let push):
      guard inView(message.header) else { return }
      take(push, message.frames, from: record, now, &out)
    case .slice(let slice):
      guard inView(message.header) else { return }
      take(slice, message.frames, from: record, now, &out)
    default: drop(.unexpected)
    }
  }

  private mutating func inView(_ header: Header) -> Bool {
    guard let view else {
      drop(.unexpected)
      return false
    }
    guard header.view == view.number, view.member(header.sender) != nil else {
      drop(
        header.view < view.number ? .oldView : header.view > view.number ? .future : .notAMember)
      return false
    }
    return true
  }

  // MARK: Computation

  mutating func compute(
    _ operation: Operation, of turn: UInt64? = nil, _ out: inout [Directive]
  ) {
    let id = OperationID(nextOperation)
    nextOperation += 1
    outstanding[id] = Pending(operation: operation, turn: turn ?? self.turn)
    out.append(.compute(id, operation))
  }

  private mutating func finished(
    _ id: OperationID, _ outcome: Outcome, _ now: Microseconds, _ out: inout [Directive]
  ) {
    let pending = outstanding.removeValue(forKey: id)
    if case .failed(let reason) = outcome {
      // Even of an abandoned operation: a compute thread that fails cannot be trusted further.
      return failed(reason, now, &out)
    }
    guard let pending else { return }
    switch (pending.operation, outcome) {
    case (.apply(let chunk, _, let step), .applied(let frame)):
      applied(chunk, step: step, frame, now, &out)
    case (.apply, .notFinite(let worker, let what)):
      guard let view, state == .running else { return }
      refuseStep(what, by: worker.map { view.workers[$0].name }, now, &out)
    case (.snapshot, .snapshot(let frames)):
      guard let view else { return }
      for member in view.workers {
        for (chunk, frame) in zip(plan.shards.chunks[0], frames) {
          let body = Parameters(version: committedSteps, chunk: chunk)
          out.append(.send(message(.parameters(body), [frame]), to: member.node))
        }
      }
    case (.tally, .tallied(let tally)): tallied(turn: pending.turn, tally, now, &out)
    case (.cut(let name, let transfer, let first), .slices(let slices)):
      give(slices, of: transfer, from: first, to: name, &out)
    case (.rollBack, .wentFurtherBack(let steps, let why)):
      guard state == .paused, steps < checkpointSteps else { return }
      checkpointSteps = steps
      rollBack(why, now, &out)
    case (.save(let steps), .saved(let problem)):
      guard case .ending(let stop) = state else { return }
      if let problem {
        out.append(.note(problem))
      } else if plan.makesCheckpoints {
        checkpointSteps = steps
      }
      farewell(stop, now, &out)
    default: break
    }
  }

  private mutating func failed(
    _ reason: String, _ now: Microseconds, _ out: inout [Directive]
  ) {
    switch state {
    case .gathering, .running, .paused: end(Stop(outcome: .failed, reason: reason), now, &out)
    case .ending:
      let reason = "the model could not be written: \(reason)"
      out.append(.note(reason))
      farewell(Stop(outcome: .failed, reason: reason), now, &out)
    case .farewell, .over: break
    }
  }
}
