import Messages
import Nodes
import Observability

/// How far nodes' logs have been shown.
struct LogMarks {
  /// Of one node.
  private struct Mark {
    /// The process: one that takes its place counts its lines from 1 again.
    var life = ""
    var number: UInt64 = 0
    /// The time at the beginning of the last line.
    var time = ""
  }

  private var marks: [NodeName: Mark] = [:]
  /// Why there was nothing of a node the last time.
  private var problems: [NodeName: NodeError] = [:]

  private static func life(of node: NodeName, _ record: StatusRecord) -> String {
    guard node != .server else { return record.run }
    return record.nodes.first { $0.name == node }.map { "\($0.host) \($0.processID)" } ?? ""
  }

  /// The lines after the marks, in the order of their times; sets the marks.
  ///
  /// - Parameter ask: the lines of a node after a number, and the last one's number.
  /// - Returns: beside the lines, why there are none of a node, where that is new.
  mutating func news(
    of nodes: [NodeName], _ record: StatusRecord,
    ask: (NodeName, UInt64) throws -> Result<(text: String, last: UInt64), NodeError>
  ) throws -> (lines: [Substring], problems: [NodeError]) {
    var lines: [Substring] = []
    var said: [NodeError] = []
    for node in nodes {
      var mark = marks[node] ?? Mark()
      let life = Self.life(of: node, record)
      let isOther = life != mark.life
      switch try ask(node, isOther ? 0 : mark.number) {
      case .success(let (text, last)):
        problems[node] = nil
        var new = text.split(separator: "\n")
        // A server that cuts the layers anew has another run's number, and its log as before.
        if isOther { new.removeAll { $0.prefix(Self.timeWidth) <= mark.time } }
        mark = Mark(
          life: life, number: last,
          time: new.last.map { String($0.prefix(Self.timeWidth)) } ?? mark.time)
        marks[node] = mark
        lines += new
      case .failure(let problem):
        if problems.updateValue(problem, forKey: node) != problem { said.append(problem) }
      }
    }
    let sorted =
      nodes.count > 1
      ? lines.sorted { $0.prefix(Self.timeWidth) < $1.prefix(Self.timeWidth) } : lines
    return (sorted, said)
  }

  /// Characters of the time that a line begins with.
  private static let timeWidth = 24
}
