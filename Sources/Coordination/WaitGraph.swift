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

  /// Members at the ends of the chains: waited for, and waiting for no other member.
  package var culprits: [NodeName] {
    var found: [NodeName] = []
    var seen: Set<NodeName> = []
    func follow(_ waits: [Wait]) {
      for wait in waits {
        guard case .member(let name) = wait.owner, name.role != .server,
          seen.insert(name).inserted
        else { continue }
        // Somebody the server's chain leads to, who in turn waits for nobody but the server, is
        // an end of the chain too.
        let onward = (nodes[name]?.waits ?? []).filter {
          if case .member(let other) = $0.owner { other.role != .server } else { false }
        }
        if isSilent(name) || onward.isEmpty { found.append(name) } else { follow(onward) }
      }
    }
    follow(serverWaits)
    return found.sorted { ($0.role.rawValue, $0.rank) < ($1.role.rawValue, $1.rank) }
  }

  /// One line: the culprits and what they are at, or who has not come.
  package var rootCause: String {
    let members = culprits.map(describe)
    if !members.isEmpty { return members.joined(separator: "; ") }
    guard !serverWaits.isEmpty else { return "the server waits for nobody" }
    let others = serverWaits.map { "the server waits for \($0.owner): \($0.what)" }
    if culpritsAreCircular { return "a circle: " + circle.joined(separator: ", ") }
    return others.joined(separator: "; ")
  }

  private var culpritsAreCircular: Bool {
    serverWaits.contains { if case .member = $0.owner { true } else { false } }
  }

  private var circle: [String] {
    nodes.values.sorted { "\($0.name)" < "\($1.name)" }.flatMap { node in
      node.waits.map { "\(node.name) waits for \($0.owner)" }
    }
  }

  private func isSilent(_ name: NodeName) -> Bool {
    nodes[name].map { $0.millisecondsSilent > silenceLimit } ?? true
  }

  private func describe(_ name: NodeName) -> String {
    guard let node = nodes[name] else { return "\(name) is not there" }
    if isSilent(name) { return "\(name) has been silent for \(node.millisecondsSilent) ms" }
    if let own = node.waits.first {
      return "\(name) waits for its \(own.owner): \(own.what), for \(own.milliseconds) ms"
    }
    return "\(name) is in \(node.phase), no progress for \(node.millisecondsSinceProgress) ms"
  }
}

extension ServerCore {
  /// What the server waits for, and from whom.
  package func waits(now: Microseconds) -> [Wait] {
    func milliseconds(_ since: Microseconds) -> UInt64 { (now - min(now, since)) / 1000 }
    switch state {
    case .gathering, .paused:
      let workers = plan.workersWanted - ready(.worker).count
      let fcNodes = plan.fcNodesWanted - ready(.fc).count
      var waits: [Wait] = []
      let since = milliseconds(lastProgress)
      // A run that has begun needs only one worker.
      let missingWorkers = view == nil ? workers : (ready(.worker).isEmpty ? 1 : 0)
      if missingWorkers > 0 { waits.append(absent(missingWorkers, "worker", since)) }
      let unready = membership.ranked(.fc).filter { $0.state == .preparing }
      for record in unready {
        waits.append(
          Wait(
            owner: .member(record.name), what: "readiness, with its parameters in place",
            milliseconds: since))
      }
      if fcNodes > unready.count {
        waits.append(absent(fcNodes - unready.count, "fc node", since))
      }
      return waits
    case .running: return turnWaits(milliseconds(lastProgress))
    case .ending:
      return (view?.fcNodes ?? []).filter { collecting?.missing.contains($0.node) ?? false }.map {
        Wait(
          owner: .member($0.name), what: "its slices of the fc layers",
          milliseconds: milliseconds(lastProgress))
      }
    case .farewell:
      return membership.records.values.sorted { $0.node < $1.node }.map {
        Wait(
          owner: .member($0.name), what: "its goodbye", milliseconds: milliseconds($0.lastHeard))
      }
    case .over: return []
    }
  }

  private func absent(_ count: Int, _ what: String, _ milliseconds: UInt64) -> Wait {
    Wait(
      owner: .absent("\(count) more \(what)\(count == 1 ? "" : "s")"), what: "to join",
      milliseconds: milliseconds)
  }

  private func turnWaits(_ since: UInt64) -> [Wait] {
    guard let view, let program, turn < program.count else { return [] }
    var waits: [Wait] = []
    for (position, member) in view.workers.enumerated() {
      guard program[turn].isTraining, !plan.chunks.chunks.isEmpty else {
        if !ledger.done.contains(position) {
          waits.append(
            Wait(
              owner: .member(member.name), what: "its part of turn \(turn)", milliseconds: since))
        }
        continue
      }
      let missing = ledger.pushes.indices.filter {
        ledger.pushes[$0][position] == nil && !ledger.applying.contains($0)
      }
      guard let first = missing.last else { continue }
      let others = missing.count > 1 ? " and \(missing.count - 1) more" : ""
      waits.append(
        Wait(
          owner: .member(member.name),
          what: "gradient of \(plan.chunks.name(of: first))\(others), turn \(turn)",
          milliseconds: since))
    }
    if !program[turn].isTraining, waits.isEmpty {
      for (position, member) in view.fcNodes.enumerated() where reports[turn]?[position] == nil {
        waits.append(
          Wait(
            owner: .member(member.name), what: "its report of turn \(turn)", milliseconds: since))
      }
    }
    if waits.isEmpty {
      waits.append(
        Wait(owner: .own("compute thread"), what: "turn \(turn)", milliseconds: since))
    }
    return waits
  }
}
