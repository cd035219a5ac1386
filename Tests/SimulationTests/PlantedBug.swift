import Messages
import Network
import Tensors

@testable import Coordination

/// What is wrong on purpose: the simulator must find each of these.
///
/// They are planted in the simulated shells, where these meet the cores: they change what a core is
/// told, says or holds. The cores themselves have no switch for it.
enum PlantedBug: String, CaseIterable {
  /// Workers and FC nodes drop what comes early for a view they have not heard of.
  case dropsNewerViews
  /// An FC node throws its gradient away at every view, committed or not.
  case forgetsToCommit
  /// An FC node applies the gradient of a step twice.
  case appliesTwice
  /// The server counts pushes of an older view.
  case countsOldViews
  /// The server commits when one chunk is still missing.
  case commitsEarly
  /// The server takes a step when one worker's gradient is still missing.
  case stepsWithoutAShare
  /// A worker goes forward with the parameters it has, whatever their version.
  case trainsOnOldParameters
  /// The server goes back to a checkpoint without taking its own part of it.
  case forgetsToRollBack
  /// FC nodes confirm parameters that they have not taken over.
  case ignoresRestore
  /// FC nodes apply a step that everybody passes over.
  case appliesSkipped
  /// A checkpoint has the server's working version.
  case checkpointsTheWorkingVersion
  /// FC nodes hand their slices in before they apply what is committed.
  case collectsBeforeApplying
  /// A view resumes one turn too late.
  case resumesTooLate
  /// The server writes every commit into the ledger twice.
  case writesCommitsTwice
  /// Heartbeats do not say whom a node waits for.
  case waitsWithoutNames
  /// FC nodes keep what belongs to turns that are over.
  case hoardsMessages
  /// The server forgets to tell the end.
  case forgetsToSayGoodbye
  /// An FC node says that it can mirror a step, and does not make it.
  case forgetsToMirror
  /// The server gives parameters to one who is not prepared, and thinks that it has them.
  case givesToTheUnprepared
  /// Who is not prepared does not hear the end of the run.
  case isDeafUnprepared
  /// The server never takes offence at a turn that does not move.
  case neverEvicts
  /// The server takes the time in which it did not run for others' silence.
  case blamesOthersForItsSleep
  /// A server shard adds what one worker pushed twice.
  case shardCountsTwice
  /// A server shard steps and gives out a chunk when one worker's push is still missing.
  case shardReleasesEarly
  /// A server shard throws the step of a turn away at every view, committed or not.
  case shardForgetsToCommit
  /// A server shard forgets what the first worker pushes in a view that runs a turn again.
  case shardForgetsPushes
  /// The server forgets that the FC layers were to be cut anew when a shard dies too.
  case forgetsToRecut
  /// An FC node makes a step before it has the word that begins its turn, and the learning rate.
  case stepsBeforeItsTurn
  /// So does a server shard.
  case shardStepsBeforeItsTurn
  /// An FC node hands its slices in when it is asked to in a view that it has not heard of.
  case handsInForUnknownViews
}

extension PlantedBug {
  /// The clusters that can have it.
  var variant: RandomScenario.Variant {
    switch self {
    case .forgetsToMirror, .givesToTheUnprepared, .handsInForUnknownViews: .mirrored
    case .shardCountsTwice, .shardReleasesEarly, .shardForgetsToCommit,
      .shardForgetsPushes, .shardStepsBeforeItsTurn:
      .sharded
    case .forgetsToRecut: .recut
    default: .plain
    }
  }
}

extension SimulatedCluster {
  /// A message as a node with the bug understands it; `nil` if it drops it.
  func tampered(_ message: Message, at node: SimulatedNode) -> Message? {
    guard let bug else { return message }
    var message = message
    let view =
      node.server?.view ?? node.worker?.gate.view ?? node.fc?.gate.view ?? node.shard?.gate.view
    switch (bug, message.body) {
    case (_, .view(let next)): return tampered(message, next, bug, node)
    case (.dropsNewerViews, .parameters), (.dropsNewerViews, .activations),
      (.dropsNewerViews, .exchange):
      if message.header.view > view?.number ?? 0 { return nil }
    case (.countsOldViews, .push):
      if node.server != nil, let view { message.header.view = view.number }
    case (.shardForgetsPushes, .push):
      if node.shard != nil, message.header.view > 1,
        message.header.sender == view?.workers.first?.node
      {
        return nil
      }
    case (.handsInForUnknownViews, .collect):
      if node.fc != nil, let view { message.header.view = view.number }
    case (.isDeafUnprepared, .stop):
      if node.preparing != nil { return nil }
    case (.waitsWithoutNames, .heartbeat(var beat)):
      beat.waits = []
      message.body = .heartbeat(beat)
    default: break
    }
    return message
  }

  private func tampered(
    _ message: Message, _ view: View, _ bug: PlantedBug, _ node: SimulatedNode
  ) -> Message {
    var message = message
    let isLater = view.number > 1 && !view.isFinal
    switch bug {
    case .forgetsToCommit: node.fc?.working = nil
    case .shardForgetsToCommit: node.shard?.working = nil
    case .appliesSkipped where view.skippedTurns > 0:
      var changed = view
      changed.skippedTurns = 0
      message.body = .view(changed)
    case .resumesTooLate where isLater:
      message.body = .view(resuming(view, at: view.resumeTurn + 1))
    default: break
    }
    return message
  }

  private func resuming(_ view: View, at turn: UInt64) -> View {
    View(
      number: view.number, resumeTurn: turn, workers: view.workers, fcNodes: view.fcNodes,
      shards: view.shards, dataset: view.dataset, isFinal: view.isFinal,
      rateReductions: view.rateReductions, rateChanges: view.rateChanges,
      skippedTurns: view.skippedTurns, holders: view.holders)
  }

  /// What an FC node with the bug does about an event.
  func tampered(_ directives: [FCCore.Directive]) -> [FCCore.Directive] {
    switch bug {
    case .appliesTwice:
      return directives.flatMap { directive in
        if case .compute(_, .apply) = directive { [directive, directive] } else { [directive] }
      }
    case .ignoresRestore:
      return directives.map { directive -> FCCore.Directive in
        switch directive {
        // Something that changes nothing, so that the confirmation stands.
        case .compute(let id, .place), .compute(let id, .redraw): .compute(id, .gradients)
        default: directive
        }
      }
    case .forgetsToMirror:
      return directives.map { directive in
        if case .compute(let id, .mirror) = directive {
          .compute(id, .gradients)
        } else {
          directive
        }
      }
    case .collectsBeforeApplying:
      return directives.sorted { rank($0) < rank($1) }
    default: return directives
    }
  }

  /// What a server shard with the bug does about an event.
  func tampered(_ directives: [ShardCore.Directive]) -> [ShardCore.Directive] {
    guard bug == .shardCountsTwice else { return directives }
    return directives.map { directive in
      guard case .compute(let id, .apply(let chunk, let gradients, let step)) = directive else {
        return directive
      }
      return .compute(
        id, .apply(chunk: chunk, gradients: gradients + gradients.prefix(1), step: step))
    }
  }

  private func rank(_ directive: FCCore.Directive) -> Int {
    switch directive {
    case .compute(_, .collect): 0
    case .compute(_, .apply): 1
    default: 0
    }
  }

  /// What a server with the bug does about an event.
  func tampered(_ directives: [ServerCore.Directive]) -> [ServerCore.Directive] {
    switch bug {
    case .forgetsToRollBack:
      return directives.map { directive -> ServerCore.Directive in
        // The audit still hears of it.
        if case .compute(let id, .rollBack) = directive {
          .compute(id, .rollBack(steps: .max))
        } else {
          directive
        }
      }
    case .writesCommitsTwice:
      return directives.flatMap { directive in
        if case .committed = directive { [directive, directive] } else { [directive] }
      }
    case .forgetsToSayGoodbye:
      return directives.filter { directive in
        if case .send(let message, _) = directive, case .stop = message.body { false } else { true }
      }
    default: return directives
    }
  }

  /// Changes what the server's core holds before an event.
  mutating func tamperWithServer(before event: ServerCore.Event) {
    guard var core = server.server else { return }
    if bug == .givesToTheUnprepared {
      for node in core.membership.records.keys {
        core.membership.update(node) { $0.hasBeenReady = true }
      }
      server.server = core
    }
    if bug == .forgetsToRecut, case .connectionLost(let node) = event,
      core.membership[node]?.name.role == .shard
    {
      core.rescue = nil
      server.server = core
    }
    guard core.state == .running else { return }
    switch (bug, event) {
    case (.neverEvicts, .tick): core.lastProgress = now
    case (.commitsEarly, .computed):
      if core.ledger.applied.count == plan.chunks.chunks.count - 2 {
        let missing = plan.chunks.chunks.indices.last { !core.ledger.applied.contains($0) }
        if let missing { core.ledger.applied.insert(missing) }
      }
    case (.stepsWithoutAShare, .message(let message)):
      guard case .push(let push) = message.body, let chunk = push.chunk,
        core.ledger.pushes.indices.contains(chunk), push.turn == core.turn, let view = core.view,
        let sender = view.workers.firstIndex(where: { $0.node == message.header.sender })
      else { return }
      let missing = view.workers.indices.filter {
        $0 != sender && core.ledger.pushes[chunk][$0] == nil
      }
      guard missing.count == 1, view.workers.count > 1, !core.ledger.applying.contains(chunk)
      else { return }
      core.ledger.pushes[chunk][missing[0]] = frame(
        Array(repeating: 0, count: model.chunkSizes[chunk]))
    default: return
    }
    server.server = core
  }

  /// Changes what a member's core holds before a message.
  func tamper(with node: SimulatedNode, before message: Message) {
    if bug == .stepsBeforeItsTurn { node.fc?.announced = .max }
    if bug == .shardStepsBeforeItsTurn { node.shard?.announced = .max }
    guard bug == .shardReleasesEarly, case .push(let push) = message.body, let core = node.shard,
      let chunk = push.chunk, core.chunks.contains(chunk), push.turn == core.turn,
      let workers = core.gate.view?.workers, workers.count > 1,
      let sender = workers.firstIndex(where: { $0.node == message.header.sender }),
      !core.applying.contains(chunk)
    else { return }
    let missing = workers.indices.filter { $0 != sender && core.pushes[chunk]?[$0] == nil }
    guard missing.count == 1 else { return }
    node.shard?.pushes[chunk, default: [:]][missing[0]] = frame(
      Array(repeating: 0, count: model.chunkSizes[chunk]))
  }

  /// Changes what a member's core holds after an event.
  ///
  /// - Parameter inbox: what an FC node held before.
  func tamper(with node: SimulatedNode, keeping inbox: [FCCore.Key: FCCore.Inbox]) {
    switch bug {
    case .hoardsMessages: node.fc?.inbox.merge(inbox) { present, _ in present }
    case .trainsOnOldParameters:
      guard let program = node.worker?.program, let turn = node.worker?.turn, turn > 0,
        turn < program.count
      else { return }
      let version = program.version(at: turn)
      for stage in plan.chunks.ofStage.indices { node.worker?.installedVersion[stage] = version }
    default: break
    }
  }
}
