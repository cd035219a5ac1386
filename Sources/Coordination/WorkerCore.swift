package import Messages
import Network
import Tensors

/// A worker's protocol: one event in, a list of directives out. No socket, clock or thread.
///
/// A turn goes, for one block of rows after the other: load it, forward stage by stage (each waits
/// for its own parameters), give the FC nodes their columns of the features. Then, again block by
/// block: take back the gradients, backward stage by stage. In the last block each stage's gradient,
/// summed over the blocks, is pushed as it is made. An evaluation turn stops after the features.
package struct WorkerCore: MemberCore {
  let plan: RunPlan
  let identity: Header
  let dataset: DatasetFacts
  let heldGroups: [Int]
  package internal(set) var gate: ViewGate
  var program: TurnProgram?
  var position = 0
  /// What this worker computes of every turn; never empty, though its only block may be.
  var blocks: [Block] = []
  var configuredRows: [Int]?

  package internal(set) var turn: UInt64 = 0
  /// The last turn the server has allowed.
  var allowedTurn: UInt64 = 0
  /// The block that goes forward and its next stage; all blocks have, if it is their number.
  var forwardBlock = 0
  var nextStage = 0
  /// The block that goes backward next, or does so now.
  var backwardBlock = 0
  var isGoingBackward = false
  /// Latest version and bytes of each chunk received and not yet installed.
  var arrived: [(version: UInt64, frame: Frame)?]
  var installedVersion: [UInt64?]
  /// The version being taken over by the compute thread.
  var installing: [UInt64?]
  /// Gradients of the features by block and position of the FC node.
  var gradients: [[[Frame]?]] = []

  var clock: PhaseClock
  var lastBeat: Microseconds?
  var nextOperation: UInt64
  var outstanding: [OperationID: Operation] = [:]
  var stopped = false

  /// - Parameters:
  ///   - identity: header of this node's messages; its view is filled in.
  ///   - serverIncarnation: the server's process life, from its welcome.
  ///   - dataset: what this node's loader found.
  ///   - heldGroups: the shard groups it has, where the data are cut into them.
  ///   - configuredRows: of each block, as memory is planned already; in a replay.
  ///   - firstOperation: the number of the first operation; in a replay.
  package init(
    plan: RunPlan, identity: Header, serverIncarnation: UInt64, dataset: DatasetFacts,
    heldGroups: [Int] = [], configuredRows: [Int]? = nil, firstOperation: UInt64 = 0,
    now: Microseconds
  ) {
    self.configuredRows = configuredRows
    nextOperation = firstOperation
    self.plan = plan
    self.identity = identity
    self.dataset = dataset
    self.heldGroups = heldGroups
    gate = ViewGate(run: identity.run, serverIncarnation: serverIncarnation)
    arrived = Array(repeating: nil, count: plan.chunks.chunks.count)
    installedVersion = Array(repeating: nil, count: plan.chunks.ofStage.count)
    installing = Array(repeating: nil, count: plan.chunks.ofStage.count)
    clock = PhaseClock(.waitingForView, now: now)
  }

  package mutating func handle(_ event: Event, now: Microseconds) -> [Directive] {
    respond(to: event, now)
  }

  // MARK: Messages

  mutating func receive(_ message: Message, _ now: Microseconds, _ out: inout [Directive]) {
    guard !takeAboveViews(message, now, &out),
      gate.admit(message)
    else { return }
    switch message.body {
    case .parameters(let parameters):
      take(parameters, from: message.header.sender, message.frames, now, &out)
    case .featureGradients(let gradients):
      take(gradients, from: message.header.sender, message.frames, now, &out)
    case .advance(let advance):
      allowedTurn = max(allowedTurn, advance.turn)
      clock.progressed(now: now)
      if clock.phase == .waitingForTurn { proceed(now, &out) }
    default: gate.count(.unexpected)
    }
  }

  // MARK: Views

  mutating func enter(
    _ view: View, _ program: TurnProgram, _ now: Microseconds, _ out: inout [Directive]
  ) -> Bool {
    for index in arrived.indices { arrived[index] = nil }
    for index in installedVersion.indices {
      installedVersion[index] = nil
      installing[index] = nil
    }
    guard let position = view.workers.firstIndex(where: { $0.node == identity.sender }) else {
      sayGoodbye(Stop(outcome: .interrupted, reason: "left the run"), &out)
      return false
    }
    announce(view, &out)
    out.append(.meet(view.parameterHolders))
    self.position = position
    let isFurtherBack = view.resumeTurn + 1 < turn
    turn = view.resumeTurn
    forwardBlock = 0
    backwardBlock = 0
    isGoingBackward = false
    allowedTurn = view.resumeTurn
    guard !view.isFinal else {
      clock.enter(.ending, now: now)
      return false
    }
    // They only answer: until they have heard of this worker they cannot reach it.
    for shard in view.shards { out.append(.send(message(.pull), to: .member(shard.node))) }
    var blocks = plan.blocks(
      position: position, workers: view.workers.count, holders: view.holders)
    if blocks.isEmpty { blocks = [Block(subBatch: 0, rows: 0..<0)] }
    // What is there of later turns would hold the places of those that come first now.
    if blocks != self.blocks || isFurtherBack { out.append(.own(.dropPrefetched)) }
    self.blocks = blocks
    // The turns may be another configuration's: a life that is replayed has gone by its own.
    if view.skippedTurns > 0, view.resumeTurn > 0, view.resumeTurn <= program.count,
      plan.wire.gradients == .bf16, case .training(let step) = program[view.resumeTurn - 1]
    {
      compute(.forgetRounding(ofStep: step), &out)
    }
    let rows = blocks.map(\.rows.count)
    if configuredRows != rows {
      clock.enter(.configuring, now: now)
      configuredRows = rows
      compute(.configure(rows: rows), &out)
    } else {
      begin(now, &out)
    }
    return true
  }

  // MARK: Computation

  mutating func finished(
    _ id: OperationID, _ outcome: Outcome, _ now: Microseconds, _ out: inout [Directive]
  ) {
    if case .failed(let reason) = outcome { return fail(reason, &out) }
    guard let operation = outstanding.removeValue(forKey: id) else { return }
    if case .hopeless(let reason) = outcome {
      // Who ends the run is the server; it is waited for with everybody else.
      let leave = Leave(reason: reason, endsRun: true)
      return out.append(.send(message(.leave(leave)), to: .server))
    }
    switch (operation, outcome) {
    case (.configure, _): begin(now, &out)
    case (.forgetRounding, _): break
    case (.load, .pictures(let pictures, let frames)):
      out.append(.send(message(.pictures(pictures), frames), to: .serverBulk))
      proceed(now, &out)
    case (.load, _): proceed(now, &out)
    case (.install(let stage, _), _):
      installedVersion[stage] = installing[stage]
      installing[stage] = nil
      if clock.phase == .waitingForParameters, nextStage == stage { proceed(now, &out) }
    case (.forward(let stage, _), _):
      nextStage = stage + 1
      proceed(now, &out)
    case (.features, .features(let frames)): passFeatures(frames, now, &out)
    case (.absorb, _): backward(fromStage: plan.chunks.ofStage.count - 1, now, &out)
    case (.backward(let stage, _, _), .gradients(let frames)):
      // None but after the last block.
      for (index, frame) in zip(plan.chunks.ofStage[stage], frames) {
        let owner = gate.view?.owner(of: index, plan.shards)
        let destination = owner.map { Destination.member($0.node) } ?? .serverBulk
        out.append(.send(message(.push(Push(turn: turn, chunk: index)), [frame]), to: destination))
      }
      backward(fromStage: stage - 1, now, &out)
    default: preconditionFailure("operation \(operation) ended with \(outcome)")
    }
  }
}
