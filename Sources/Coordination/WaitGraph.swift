package import Messages
import Network

/// Who waits for whom, followed from the server to the root cause.
package struct WaitGraph: Sendable {
  /// What is known of one node.
  package struct Node: Sendable {
    package let name: NodeName
    package let waits: [Wait]
    package let phase: String
    package let millisecondsSinceProgress: UInt64
    /// Since its last sign of life.
    package let millisecondsSilent: UInt64

    package init(
      name: NodeName, waits: [Wait], phase: String, millisecondsSinceProgress: UInt64,
      millisecondsSilent: UInt64
    ) {
      self.name = name
      self.waits = waits
      self.phase = phase
      self.millisecondsSinceProgress = millisecondsSinceProgress
      self.millisecondsSilent = millisecondsSilent
    }
  }

  private let serverWaits: [Wait]
  private let nodes: [NodeName: Node]
  /// Silence that is news by itself.
  private let silenceLimit: UInt64

  package init(serverWaits: [Wait], nodes: [Node], silenceLimitMilliseconds: UInt64) {
    self.serverWaits = serverWaits
    self.nodes = Dictionary(nodes.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    silenceLimit = silenceLimitMilliseconds
  }

  /// The graph as the server sees it at `now`.
  package init(_ core: ServerCore, now: Microseconds) {
    let nodes = core.membership.records.values.map { record in
      Node(
        name: record.name, waits: record.heartbeat?.waits ?? [],
        phase: record.heartbeat?.phase ?? "preparing",
        millisecondsSinceProgress: record.heartbeat?.millisecondsSinceProgress ?? 0,
        millisecondsSilent: (now - min(now, record.lastHeard)) / 1000)
    }
    self.init(
      serverWaits: core.waits(now: now), nodes: nodes,
      silenceLimitMilliseconds: core.plan.timing.heartbeat * 3)
  }

  /// The ends of the chains that start at the server: those who are waited for and wait for nobody
  /// but themselves, or only for a server that waits for them. Where the chains have no end, those
  /// who wait for each other.
  package var culprits: [NodeName] {
    var ends: Set<NodeName> = serverIsBusy ? [.server] : []
    var reached: Set<NodeName> = []
    func follow(_ names: [NodeName]) {
      for name in names where reached.insert(name).inserted {
        let onward = Self.members(nodes[name]?.waits ?? [])
        if isSilent(name) || onward.isEmpty {
          // Who waits for a busy server is not to blame.
          if isSilent(name) || !(serverIsBusy && waitsForServer(name)) { ends.insert(name) }
        } else {
          follow(onward)
        }
      }
    }
    follow(Self.members(serverWaits))
    let found = ends.isEmpty ? reached.filter(isOnCircle) : ends
    return found.sorted { ($0.role.rawValue, $0.rank) < ($1.role.rawValue, $1.rank) }
  }

  /// Whether a culprit is at fault itself: it is silent or busy, where others wait for a message
  /// that may have been lost.
  package func isStuck(_ name: NodeName) -> Bool {
    if name == .server { return serverIsBusy }
    guard let node = nodes[name] else { return false }
    return isSilent(name)
      || !node.waits.contains { if case .member = $0.owner { true } else { false } }
  }

  /// One line: the culprits and what they are at, or who has not come.
  package var rootCause: String {
    let culprits = culprits
    if !culprits.isEmpty {
      let isCircle = culprits.allSatisfy { !isSilent($0) && isOnCircle($0) }
      return (isCircle ? "they wait for each other: " : "")
        + culprits.map(describe).joined(separator: "; ")
    }
    guard !serverWaits.isEmpty else { return "the server waits for nobody" }
    return serverWaits.map { "the server waits for \($0.owner): \($0.what)" }
      .joined(separator: "; ")
  }

  /// The members waited for, the server apart.
  private static func members(_ waits: [Wait]) -> [NodeName] {
    waits.compactMap { wait in
      guard case .member(let name) = wait.owner, name.role != .server else { return nil }
      return name
    }
  }

  private var serverIsBusy: Bool {
    serverWaits.contains { if case .own = $0.owner { true } else { false } }
  }

  private func waitsForServer(_ name: NodeName) -> Bool {
    nodes[name]?.waits.contains { $0.owner == .member(.server) } ?? false
  }

  private func isOnCircle(_ name: NodeName) -> Bool {
    var reached: Set<NodeName> = []
    var ahead = Self.members(nodes[name]?.waits ?? [])
    while let next = ahead.popLast() {
      if next == name { return true }
      guard reached.insert(next).inserted else { continue }
      ahead += Self.members(nodes[next]?.waits ?? [])
    }
    return false
  }

  private func isSilent(_ name: NodeName) -> Bool {
    nodes[name].map { $0.millisecondsSilent > silenceLimit } ?? true
  }

  private func describe(_ name: NodeName) -> String {
    let waits = name == .server ? serverWaits.filter(\.isOwn) : nodes[name]?.waits ?? []
    if name != .server {
      guard let node = nodes[name] else { return "\(name) is not there" }
      if isSilent(name) { return "\(name) has been silent for \(node.millisecondsSilent) ms" }
    }
    if let wait = waits.first {
      return "\(name) waits for \(wait.isOwn ? "its " : "")\(wait.owner): \(wait.what), for "
        + "\(wait.milliseconds) ms"
    }
    guard let node = nodes[name] else { return "\(name)" }
    return "\(name) is in \(node.phase), no progress for \(node.millisecondsSinceProgress) ms"
  }
}

extension ServerCore {
  /// What the server waits for, and from whom; never nothing while the run is on.
  package func waits(now: Microseconds) -> [Wait] {
    func milliseconds(_ since: Microseconds) -> UInt64 { (now - min(now, since)) / 1000 }
    let since = milliseconds(lastProgress)
    switch state {
    case .gathering:
      return missingWorkers(of: plan.workersWanted, since)
        + missing(.fc, of: plan.fcNodesWanted, since)
        + missing(.shard, of: plan.shardsWanted, since)
    case .paused where rescue != nil: return rescueWaits(since)
    case .paused:
      return missingWorkers(of: plan.minimumWorkers, since)
        + missing(.fc, of: plan.fcNodesWanted, since)
        + missing(.shard, of: plan.shardsWanted, since)
    case .running: return turnWaits(since) + busy(since)
    case .ending:
      let waits = (view?.parameterHolders ?? []).filter { !hasHandedIn($0.node) }.map {
        Wait(
          owner: .member($0.name),
          what: $0.name.role == .fc
            ? "its slices of the fc layers" : "its share of the conv parameters",
          milliseconds: since)
      }
      return waits.isEmpty
        ? [Wait(owner: .own("compute thread"), what: "the model file", milliseconds: since)] : waits
    case .farewell:
      return membership.records.values.sorted { $0.node < $1.node }.map {
        Wait(
          owner: .member($0.name), what: "its goodbye", milliseconds: milliseconds($0.lastHeard))
      }
    case .over: return []
    }
  }

  /// Those who have joined and are not ready yet, then those who have not even come.
  private func missing(_ role: Role, of wanted: Int, _ since: UInt64) -> [Wait] {
    let count = wanted - ready(role).count
    guard count > 0 else { return [] }
    let preparing = membership.ranked(role).filter { $0.state == .preparing }.prefix(count)
    var waits = preparing.map {
      Wait(owner: .member($0.name), what: "to be ready", milliseconds: since)
    }
    let absent = count - preparing.count
    if absent > 0 {
      let what =
        switch role {
        case .fc: "fc node"
        case .shard: "server shard"
        case .worker, .server, .observer: "worker"
        }
      waits.append(
        Wait(
          owner: .absent("\(absent) more \(what)\(absent == 1 ? "" : "s")"), what: "to join",
          milliseconds: since))
    }
    return waits
  }

  /// Too few workers, or none with some part of the data.
  private func missingWorkers(of wanted: Int, _ since: UInt64) -> [Wait] {
    let waits = missing(.worker, of: wanted, since)
    let groups = deal(ready(.worker)).missing
    guard waits.isEmpty, !groups.isEmpty else { return waits }
    return [
      Wait(
        owner: .absent("a worker that has \(ShardDeal.name(groups)) of the data"),
        what: "to join", milliseconds: since)
    ]
  }

  /// The server's own computations that others wait for.
  private func busy(_ since: UInt64) -> [Wait] {
    let what = outstanding.values.compactMap { pending -> String? in
      switch pending.operation {
      case .snapshot: "the parameters for everybody"
      case .apply: "a step of the parameters, turn \(pending.turn)"
      case .tally: "the measure of turn \(pending.turn)"
      case .rollBack, .cut: "the checkpoint to go back to"
      case .commit, .store, .save, .beginCheckpoint, .finishCheckpoint: nil
      }
    }
    return what.min().map {
      [Wait(owner: .own("compute thread"), what: $0, milliseconds: since)]
    } ?? []
  }

  private func turnWaits(_ since: UInt64) -> [Wait] {
    guard let view, let program else { return [] }
    func wait(_ member: Member, _ what: String) -> Wait {
      Wait(owner: .member(member.name), what: what, milliseconds: since)
    }
    func reportWaits(_ turn: UInt64) -> [Wait] {
      view.fcNodes.indices.filter { reports[turn]?[$0] == nil }.map {
        wait(view.fcNodes[$0], "its report of turn \(turn)")
      }
    }
    guard turn < program.count else { return turn == 0 ? [] : reportWaits(turn - 1) }
    guard program[turn].isTraining, !plan.chunks.chunks.isEmpty else {
      let waits = view.workers.indices.filter { !ledger.done.contains($0) }.map {
        wait(view.workers[$0], "its part of turn \(turn)")
      }
      return waits.isEmpty && !program[turn].isTraining ? reportWaits(turn) : waits
    }
    let shardWaits = view.shards.indices.filter { !ledger.shards.contains($0) }.map {
      wait(view.shards[$0], "its share of the parameters, turn \(turn)")
    }
    let waits =
      shardWaits
      + view.workers.enumerated().compactMap { position, member in
        let missing = plan.shards.chunks[0].filter {
          ledger.pushes[$0][position] == nil && !ledger.applying.contains($0)
        }
        guard let first = missing.last else { return nil }
        let others = missing.count > 1 ? " and \(missing.count - 1) more" : ""
        return wait(
          member, "gradient of \(plan.chunks.name(of: first))\(others), turn \(turn)")
      }
    guard waits.isEmpty, plan.mirrorsFC else { return waits }
    return view.fcNodes.indices.filter { !ledger.mirrors.contains($0) }.map {
      wait(view.fcNodes[$0], "its word that it can mirror turn \(turn)")
    }
  }
}

extension Wait {
  /// Whether the node waits for a part of itself.
  fileprivate var isOwn: Bool { if case .own = owner { true } else { false } }
}
