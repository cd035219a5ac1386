import Messages

/// Who waits for whom, for what, since when, back to the root cause.
///
/// The waits of the server and of the nodes are the edges of a graph. It is followed from the
/// server, then from every node that was not reached, to those who are waited for and wait for
/// no other node themselves: they are the root causes, and so is a circle of nodes that wait for
/// each other.
package struct WhyReport: Sendable {
  /// Indented by two blanks a level; the root causes come last.
  package let lines: [String]
  /// One line each without "root cause:", the longest wait first.
  package let rootCauses: [String]

  /// The first root cause: "fc 0 waits for its own compute thread: segment 3 (2.9 s)".
  package var rootCauseLine: String? { rootCauses.first }

  /// Builds the report for a status record.
  package init(_ record: StatusRecord) {
    self.init(serverWaits: record.serverWaits, nodes: record.nodes)
  }

  /// Builds the report.
  ///
  /// - Parameters:
  ///   - serverWaits: what the server waits for.
  ///   - nodes: all nodes with their waits as last heard.
  package init(serverWaits: [WaitRecord], nodes: [NodeRecord]) {
    var walk = Walk(serverWaits: serverWaits, nodes: nodes)
    walk.run()
    lines = walk.lines + walk.causes.map { "root cause: \($0.text)" }
    rootCauses = walk.causes.map(\.text)
  }

  /// The lines, one line feed after each.
  package func render() -> String { lines.map { $0 + "\n" }.joined() }
}

/// A walk through the graph of waits.
private struct Walk {
  struct Cause {
    let text: String
    let milliseconds: UInt64
  }

  private(set) var lines: [String] = []
  private(set) var causes: [Cause] = []

  private let waits: [String: [WaitRecord]]
  private let nodes: [String: NodeRecord]
  private let names: [String]
  private var path: [String] = []
  private var visited: Set<String> = []

  private static let server = "\(NodeName.server)"

  init(serverWaits: [WaitRecord], nodes: [NodeRecord]) {
    var waits = [Self.server: serverWaits]
    var byName: [String: NodeRecord] = [:]
    for node in nodes {
      let name = "\(node.name)"
      // A rank may be listed again after its last holder has gone: the living one counts.
      if let known = byName[name], known.state != .gone, node.state == .gone { continue }
      byName[name] = node
      waits[name] = node.waits
    }
    self.waits = waits
    self.nodes = byName
    names =
      [Self.server]
      + byName.values.sorted {
        ($0.role == .worker ? 0 : 1, $0.role.rawValue, $0.rank)
          < ($1.role == .worker ? 0 : 1, $1.role.rawValue, $1.rank)
      }
      .map { "\($0.name)" }
  }

  mutating func run() {
    for name in names where !visited.contains(name) {
      // Nodes that only do their own work are no news unless somebody waits for them.
      guard waits[name]?.contains(where: { $0.kind != .own }) == true || name == Self.server
      else { continue }
      if let node = nodes[name], node.state == .gone { continue }
      follow(name, waited: nil)
    }
    if lines.isEmpty { lines.append("nobody waits for anybody") }
    // The longest wait first: what was asked for first is what holds up the rest.
    causes = causes.enumerated()
      .sorted { ($1.element.milliseconds, $0.offset) < ($0.element.milliseconds, $1.offset) }
      .map(\.element)
  }

  /// Describes what `name` waits for and goes on to whom.
  ///
  /// - Parameter waited: how long somebody has been waiting for `name`; `nil` at a start.
  private mutating func follow(_ name: String, waited: UInt64?) {
    visited.insert(name)
    path.append(name)
    defer { path.removeLast() }
    if let waited, let cause = unreachable(name) {
      causes.append(Cause(text: cause, milliseconds: waited))
      return
    }
    let mine = waits[name] ?? []
    if mine.isEmpty, let waited {
      causes.append(Cause(text: idle(name), milliseconds: waited))
    }
    for group in grouped(mine) { describe(group, by: name, waited: waited) }
  }

  private mutating func describe(_ group: Group, by name: String, waited: UInt64?) {
    let wait = group.longest
    let duration = Format.duration(milliseconds: wait.milliseconds)
    let what = Format.printable(wait.what)
    let owner = Format.printable(wait.owner)
    let more = group.others == 0 ? "" : " (and \(group.others) more)"
    let indent = String(repeating: "  ", count: path.count - 1)
    switch wait.kind {
    case .own:
      lines.append("\(indent)\(name) waits \(duration) for its own \(owner): \(what)\(more)")
      // Own work is to blame only where somebody waits for it, or it is the server's.
      if waited != nil || name == Walk.server {
        causes.append(
          Cause(
            text: "\(name) waits for its own \(owner): \(what) (\(duration))",
            milliseconds: wait.milliseconds))
      }
    case .absent:
      lines.append("\(indent)\(name) waits \(duration) for \(owner): \(what)\(more)")
      let (has, it) = owner.hasPrefix("1 ") ? ("has", "it") : ("have", "them")
      causes.append(
        Cause(
          text: "\(owner) \(has) not come (\(name) waits for \(it) since \(duration))",
          milliseconds: wait.milliseconds))
    case .member:
      let start = "\(indent)\(name) waits \(duration) for \(owner): \(what)\(more)"
      if let first = path.firstIndex(of: wait.owner) {
        let circle = (path[first...] + [wait.owner]).joined(separator: " -> ")
        lines.append("\(start) (a circle)")
        causes.append(Cause(text: "a circle: \(circle)", milliseconds: wait.milliseconds))
      } else if visited.contains(wait.owner) {
        lines.append("\(start) (see above)")
      } else {
        lines.append(start)
        follow(wait.owner, waited: wait.milliseconds)
      }
    }
  }

  /// Why nothing can come from `name`, if so.
  private func unreachable(_ name: String) -> String? {
    if name == Self.server { return nil }
    guard let node = nodes[name] else {
      return "\(Format.printable(name)) is not in the cluster"
    }
    let age = Format.duration(milliseconds: node.heartbeatAgeMilliseconds)
    switch node.state {
    case .gone: return "\(name) on \(Format.printable(node.host)) is gone"
    case .silent: return "\(name) on \(Format.printable(node.host)) is silent since \(age)"
    case .joined: return "\(name) has joined but is in no view yet"
    case .active: return nil
    }
  }

  /// A node that is waited for and says it waits for nothing.
  private func idle(_ name: String) -> String {
    guard let node = nodes[name] else { return "\(name) waits for nobody" }
    let since = Format.duration(milliseconds: node.millisecondsSinceProgress)
    let phase = node.phase.isEmpty ? "" : " (\(Format.printable(node.phase)))"
    return "\(name)\(phase) waits for nobody and has made no progress for \(since)"
  }

  private struct Group {
    var longest: WaitRecord
    var others = 0
  }

  /// The waits by whom they are for, each once with its longest, the longest first.
  private func grouped(_ waits: [WaitRecord]) -> [Group] {
    var groups: [Group] = []
    for wait in waits {
      let same = groups.firstIndex {
        $0.longest.kind == wait.kind && $0.longest.owner == wait.owner
      }
      guard let same else {
        groups.append(Group(longest: wait))
        continue
      }
      groups[same].others += 1
      if wait.milliseconds > groups[same].longest.milliseconds { groups[same].longest = wait }
    }
    return groups.enumerated()
      .sorted {
        ($1.element.longest.milliseconds, $0.offset) < ($0.element.longest.milliseconds, $1.offset)
      }
      .map(\.element)
  }
}
