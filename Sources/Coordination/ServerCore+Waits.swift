package import Messages
import Network

extension ServerCore {
  /// What the server waits for, and from whom; never nothing while the run is on.
  package func waits(now: Microseconds) -> [Wait] {
    if case .farewell = state {
      return membership.records.values.sorted { $0.node < $1.node }.map {
        Wait(
          owner: .member($0.name), what: "its goodbye",
          milliseconds: (now - min(now, $0.lastHeard)) / 1000)
      }
    }
    let since = (now - min(now, lastProgress)) / 1000
    return needs.map { Wait(owner: $0.owner, what: $0.what, milliseconds: since) }
  }

  private var needs: [Need] {
    switch state {
    case .gathering:
      return missingWorkers(of: plan.workersWanted) + missing(.fc, of: plan.fcNodesWanted)
        + missing(.shard, of: plan.shardsWanted)
    case .paused where rescue != nil: return rescueNeeds
    case .paused:
      return (isDone ? [] : missingWorkers(of: plan.minimumWorkers))
        + missing(.fc, of: plan.fcNodesWanted) + missing(.shard, of: plan.shardsWanted)
    case .running: return turnNeeds + busy
    case .ending:
      let needs = (view?.parameterHolders ?? []).filter { !hasHandedIn($0.node) }.map {
        Need(
          .member($0.name),
          $0.name.role == .fc ? "its slices of the fc layers" : "its share of the conv parameters")
      }
      return needs.isEmpty ? [Need(.own("compute thread"), "the model file")] : needs
    case .farewell, .over: return []
    }
  }

  /// Those who have joined and are not ready yet, then those who have not even come.
  private func missing(_ role: Role, of wanted: Int) -> [Need] {
    let count = wanted - ready(role).count
    guard count > 0 else { return [] }
    let preparing = membership.ranked(role).filter { $0.state == .preparing }.prefix(count)
    var needs = preparing.map { Need(.member($0.name), "to be ready") }
    let absent = count - preparing.count
    if absent > 0 {
      let what =
        switch role {
        case .fc: "fc node"
        case .shard: "server shard"
        case .worker, .server, .observer: "worker"
        }
      needs.append(Need(.absent("\(absent) more \(what)\(absent == 1 ? "" : "s")"), "to join"))
    }
    return needs
  }

  /// Too few workers, or none with some part of the data.
  private func missingWorkers(of wanted: Int) -> [Need] {
    let needs = missing(.worker, of: wanted)
    let groups = deal(ready(.worker)).missing
    guard needs.isEmpty, !groups.isEmpty else { return needs }
    return [Need(.absent("a worker that has \(ShardDeal.name(groups)) of the data"), "to join")]
  }

  /// The server's own computations that others wait for.
  private var busy: [Need] {
    let what = outstanding.values.compactMap { pending -> String? in
      switch pending.operation {
      case .snapshot: "the parameters for everybody"
      case .apply: "a step of the parameters, turn \(pending.turn)"
      case .tally: "the measure of turn \(pending.turn)"
      case .rollBack, .cut: "the checkpoint to go back to"
      case .commit, .store, .save, .beginCheckpoint, .finishCheckpoint: nil
      }
    }
    return what.min().map { [Need(.own("compute thread"), $0)] } ?? []
  }

  private var turnNeeds: [Need] {
    guard let view, let program else { return [] }
    func reportNeeds(_ turn: UInt64) -> [Need] {
      view.fcNodes.indices.filter { reports[turn]?[$0] == nil }.map {
        Need(.member(view.fcNodes[$0].name), "its report of turn \(turn)")
      }
    }
    guard turn < program.count else { return turn == 0 ? [] : reportNeeds(turn - 1) }
    guard program[turn].isTraining, !plan.chunks.chunks.isEmpty else {
      let needs = view.workers.indices.filter { !ledger.done.contains($0) }.map {
        Need(.member(view.workers[$0].name), "its part of turn \(turn)")
      }
      return needs.isEmpty && !program[turn].isTraining ? reportNeeds(turn) : needs
    }
    let needs =
      view.shards.indices.filter { !ledger.shards.contains($0) }.map {
        Need(.member(view.shards[$0].name), "its share of the parameters, turn \(turn)")
      }
      + view.workers.enumerated().compactMap { position, member in
        let missing = plan.shards.chunks[0].filter {
          ledger.pushes[$0][position] == nil && !ledger.applying.contains($0)
        }
        return plan.chunks.need(of: missing, from: member, turn: turn)
      }
    guard needs.isEmpty, plan.mirrorsFC else { return needs }
    return view.fcNodes.indices.filter { !ledger.mirrors.contains($0) }.map {
      Need(.member(view.fcNodes[$0].name), "its word that it can mirror turn \(turn)")
    }
  }
}
