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

extension Wait {
  /// Whether the node waits for a part of itself.
  fileprivate var isOwn: Bool { if case .own = owner { true } else { false } }
}
