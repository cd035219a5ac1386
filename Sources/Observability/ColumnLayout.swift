/// A table that gives up its least important columns where the terminal is narrow.
struct ColumnLayout {
  /// One column: title, cells, and how gladly it is kept.
  struct Column {
    let title: String
    var isNumeric = true
    /// The column with the largest number goes first when there is no room.
    let expendability: Int
    let cells: [Span]

    var width: Int { max(title.count, cells.map(\.text.count).max() ?? 0) }
    /// A column that says nothing anywhere is not shown.
    var isEmpty: Bool { cells.allSatisfy(\.text.isEmpty) }
  }

  let columns: [Column]

  /// Characters of a line that has every column.
  var width: Int { Self.width(of: columns.filter { !$0.isEmpty }) }

  /// Header and rows, each at most `width` characters wide.
  func render(width: Int, paint: Paint) -> [String] {
    var shown = columns.filter { !$0.isEmpty }
    while Self.width(of: shown) > width, shown.count > 1,
      let last = shown.indices.max(by: { shown[$0].expendability < shown[$1].expendability })
    {
      shown.remove(at: last)
    }
    let rows = shown.map(\.cells.count).max() ?? 0
    var lines = [line(shown, width, paint) { Span($0.title, .quiet) }]
    for row in 0..<rows { lines.append(line(shown, width, paint) { $0.cells[row] }) }
    return lines
  }

  private func line(
    _ shown: [Column], _ width: Int, _ paint: Paint, _ cell: (Column) -> Span
  ) -> String {
    var left = width
    var text = ""
    for (index, column) in shown.enumerated() {
      let span = cell(column)
      let pad = String(repeating: " ", count: column.width - span.text.count)
      let gap = index == 0 ? "" : "  "
      // No blanks at the end of a line.
      let isLast = index == shown.count - 1
      let padded = column.isNumeric ? pad + span.text : span.text + (isLast ? "" : pad)
      let clipped = Format.clipped(padded, to: left - gap.count)
      text += gap + paint(clipped, span.style)
      left -= gap.count + clipped.count
    }
    return text
  }

  private static func width(of columns: [Column]) -> Int {
    columns.reduce(0) { $0 + $1.width } + 2 * max(0, columns.count - 1)
  }
}
