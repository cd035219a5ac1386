/// The nodes of a run, a line each: who is where, in what state, and what it waits for.
package enum NodesTable {
  /// Renders the table at most `columns` characters wide.
  package static func render(_ record: StatusRecord, columns: Int, color: Bool) -> String {
    guard !record.nodes.isEmpty else { return "no node has joined yet\n" }
    func column(
      _ title: String, _ expendability: Int, numeric: Bool = false,
      _ text: (NodeRecord) -> String
    ) -> ColumnLayout.Column {
      .init(
        title: title, isNumeric: numeric, expendability: expendability,
        cells: record.nodes.map { Span(text($0)) })
    }
    let layout = ColumnLayout(columns: [
      column("node", 0) { "\($0.name)" },
      column("state", 1) { $0.state.rawValue },
      column("host", 2) { Format.clipped($0.host, to: 30) },
      column("pid", 3, numeric: true) { "\($0.processID)" },
      column("heard", 5, numeric: true) {
        Format.duration(milliseconds: $0.heartbeatAgeMilliseconds)
      },
      column("memory", 6, numeric: true) { Format.bytes($0.residentBytes) },
      column("phase", 4) { $0.phase },
      column("waits for", 7) { node in
        guard let wait = node.waits.max(by: { $0.milliseconds < $1.milliseconds }) else {
          return ""
        }
        return "\(wait.owner): \(wait.what) (\(Format.duration(milliseconds: wait.milliseconds)))"
      },
    ])
    return layout.render(width: columns, paint: Paint(isColored: color)).map { $0 + "\n" }.joined()
  }

  /// The nodes as JSON on one line, as in the status record.
  package static func json(_ record: StatusRecord) -> [UInt8] { JSON.encode(record.nodes) }
}
