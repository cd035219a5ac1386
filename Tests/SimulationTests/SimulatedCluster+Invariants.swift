import Messages
import Network
import Tensors

@testable import Coordination

/// What must hold after every event, whatever has happened.
extension SimulatedCluster {
  private mutating func violate(_ what: String) {
    guard violations.count < 5 else { return }
    violations.append("\(now): \(what)")
  }

  /// The parameters are those of the run in one loop after every single step, where none is passed
  /// over: a version that is mixed, doubled or computed from an old one shows at once.
  mutating func checkTrajectory(after operation: ServerCore.Operation, at node: SimulatedNode) {
    guard options.poison.isEmpty, case .commit(let step) = operation else { return }
    let expected = trajectory[step + 1].chunks
    if plan.shards.chunks[0].contains(where: { node.chunks[$0] != expected[$0] }) {
      violate("the server's parameters after step \(step) are others")
    }
  }

  mutating func checkTrajectory(after operation: ShardCore.Operation, at node: SimulatedNode) {
    guard options.poison.isEmpty, case .commit(let step) = operation, let core = node.shard else {
      return
    }
    let expected = trajectory[step + 1].chunks
    if core.chunks.contains(where: { node.chunks[$0] != expected[$0] }) {
      violate("shard \(core.rank)'s parameters after step \(step) are others")
    }
  }

  mutating func checkTrajectory(after operation: FCCore.Operation, at node: SimulatedNode) {
    guard options.poison.isEmpty, case .apply(let step) = operation else { return }
    if node.weights != Array(trajectory[step + 1].weights[node.columns]) {
      violate("columns \(node.columns) after step \(step) are others")
    }
    if let mirror = node.mirror,
      mirror.weights != Array(trajectory[step + 1].weights[mirror.columns])
    {
      violate("the mirrored columns \(mirror.columns) after step \(step) are others")
    }
  }

  /// A worker is dealt only what it has, where the schedule follows holders.
  mutating func checkHolder(_ core: WorkerCore, _ operation: WorkerCore.Operation) {
    guard plan.schedule.followsHolders, case .load(let span, let block) = operation, span.rows > 0
    else { return }
    let group = core.blocks[block].subBatch
    if !core.heldGroups.contains(group) {
      violate("a worker that has \(core.heldGroups) was dealt group \(group)")
    }
  }

  /// A turn is committed in its order and over the whole batch, each row once.
  mutating func checkCommit(_ record: CommitRecord) {
    let rows = record.shares.values.joined().joined().sorted()
    if rows != Array(0..<options.globalBatch) {
      violate("turn \(record.turn) is committed with rows \(rows)")
    }
    if case .training(let step) = record.kind, step != audit.steps {
      violate("step \(step) is committed after \(audit.steps) steps")
    }
  }

  mutating func checkInvariants(of id: NodeID) {
    guard let node = nodes[id] else { return }
    if let core = node.fc { check(core, id) }
    if let core = node.shard { check(core, id) }
    if let core = node.worker {
      bound(core.outstanding.count, by: plan.chunks.ofStage.count + 4, "operations of \(id)")
      bound(core.gate.keptCount, by: mostEarly, "early messages of \(id)")
    }
    if let core = node.server {
      let chunks = plan.chunks.chunks.count
      bound(core.reports.count, by: 2, "turns of reports at the server")
      bound(core.measured.count, by: 3, "measured turns at the server")
      bound(
        core.outstanding.count, by: 2 * chunks + 6 * model.columns + 16, "operations of the server")
    }
  }

  /// In a view an FC node is at most one step behind the server, and never ahead of it.
  private mutating func check(_ core: FCCore, _ id: NodeID) {
    bound(
      core.inbox.count, by: (plan.mirrorsFC ? 3 : 2) * plan.subBatches.parts, "inboxes of \(id)")
    bound(core.gate.keptCount, by: mostEarly, "early messages of \(id)")
    bound(
      core.outstanding.count, by: 2 * plan.subBatches.parts + 2 * model.columns + 8,
      "operations of \(id)")
    guard server.isRunning, serverCore.state == .running, core.restoring == nil, !core.stopped,
      let view = core.gate.view, view.number == serverCore.view?.number
    else { return }
    let committed = serverCore.committedSteps
    if core.appliedSteps > committed || committed - core.appliedSteps > 1 {
      violate("\(id) has applied \(core.appliedSteps) steps, the server \(committed)")
    }
  }

  /// So is a shard.
  private mutating func check(_ core: ShardCore, _ id: NodeID) {
    bound(core.gate.keptCount, by: mostEarly, "early messages of \(id)")
    guard server.isRunning, serverCore.state == .running, core.restoring == nil, !core.stopped,
      let view = core.gate.view, view.number == serverCore.view?.number
    else { return }
    let committed = serverCore.committedSteps
    if core.appliedSteps > committed || committed - core.appliedSteps > 1 {
      violate("\(id) has committed \(core.appliedSteps) steps, the server \(committed)")
    }
  }

  private var mostEarly: Int {
    let parts = plan.subBatches.parts
    let exchanges = plan.trainingSegments * options.fcNodes
    // Of one turn and the next, each of them twice.
    return 4 * (plan.chunks.chunks.count + (16 + exchanges) * parts)
  }

  private mutating func bound(_ count: Int, by most: Int, _ what: String) {
    if count > most { violate("\(count) \(what), at most \(most)") }
  }
}
