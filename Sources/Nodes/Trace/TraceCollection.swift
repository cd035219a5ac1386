import Coordination
import Messages
import Observability
import Tensors
import Transport

/// A trace under way at the server: who is still to hand in its part, and what has come.
struct TraceCollection {
  /// Who asked for it.
  let asker: Hub.Link
  let turns: Int
  let deadline: Microseconds
  private let sentAt: Microseconds
  private var missing: [NodeID: NodeName]
  private var parts: [(name: NodeName, part: ChromeTrace.Part)] = []
  /// Why a node's part is not in it.
  private var problems: [String] = []

  /// Longest wait for nodes that do not answer, microseconds: turns may take minutes.
  static let patience: Microseconds = 600_000_000

  init(turns: Int, for asker: Hub.Link, of members: [Member], now: Microseconds) {
    self.asker = asker
    self.turns = turns
    sentAt = now
    deadline = now + Self.patience
    missing = Dictionary(uniqueKeysWithValues: members.map { ($0.node, $0.name) })
  }

  /// What each of them is told.
  var request: TraceRequest { TraceRequest(turns: turns, sentAt: sentAt) }

  func isComplete(now: Microseconds) -> Bool { missing.isEmpty || now >= deadline }

  /// Takes a node's part.
  ///
  /// - Parameter sharesClock: whether the node is on the server's machine, where nothing needs to
  ///   be reckoned.
  mutating func take(
    _ report: TraceReport, _ frames: [Frame], from node: NodeID, sharesClock: Bool,
    now: Microseconds
  ) {
    guard let name = missing.removeValue(forKey: node) else { return }
    do throws(ObservabilityError) {
      let spans = try TraceSpan.decode(frames.flatMap { Array($0.bytes) })
      let there = Int64(report.requestedAt) - Int64(sentAt)
      let back = Int64(report.sentAt) - Int64(now)
      parts.append(
        (
          name,
          ChromeTrace.Part(
            node: "\(name)", clockOffset: sharesClock ? 0 : (there + back) / 2, spans: spans)
        ))
    } catch {
      problems.append("\(name): \(error)")
    }
  }

  /// Does not wait for those any more who are no longer there.
  mutating func forget(allBut isThere: (NodeID) -> Bool) {
    for (node, name) in missing where !isThere(node) {
      missing[node] = nil
      problems.append("\(name) has gone")
    }
  }

  /// The trace with the server's own spans, those of the time that the others cover, and a sentence
  /// about it.
  func finish(server: [TraceSpan]) -> (text: String, trace: [UInt8]) {
    var problems = problems
    for name in missing.values.map({ "\($0)" }).sorted() { problems.append("\(name) is silent") }
    let order: [Role] = [.worker, .fc, .shard]
    let sorted = parts.sorted {
      (order.firstIndex(of: $0.name.role) ?? 0, $0.name.rank)
        < (order.firstIndex(of: $1.name.role) ?? 0, $1.name.rank)
    }
    let trace = ChromeTrace(
      sorted.map(\.part) + [ChromeTrace.Part(node: "server", clockOffset: 0, spans: server)])
    let spans = trace.parts.reduce(0) { $0 + $1.spans.count }
    let text =
      "\(turns) turn\(turns == 1 ? "" : "s") of \(parts.count) node\(parts.count == 1 ? "" : "s")"
      + " and the server, \(spans) spans"
      + (problems.isEmpty ? "" : "; without \(problems.joined(separator: ", "))")
    return (text, trace.json())
  }
}
