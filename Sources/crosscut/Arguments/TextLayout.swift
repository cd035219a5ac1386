/// Paragraphs and two-column lists at a given width.
struct TextLayout {
  /// Columns of a line.
  let width: Int
  private(set) var text = ""

  init(width: Int) { self.width = max(width, 40) }

  mutating func line(_ line: String = "") { text += line + "\n" }

  /// A heading, with a blank line before it.
  mutating func heading(_ heading: String) {
    line()
    line("\(heading):")
  }

  mutating func paragraph(_ paragraph: String, indent: Int = 0) {
    let margin = String(repeating: " ", count: indent)
    for row in Self.wrap(paragraph, width: width - indent) { line(margin + row) }
  }

  /// Terms on the left, explanations wrapped on the right; a term too long for its column has a
  /// line of its own.
  mutating func list(_ rows: [(term: String, explanation: String)], indent: Int = 2) {
    let longest = rows.map(\.term.count).max() ?? 0
    let column = min(longest, max(12, width * 2 / 5)) + indent + 2
    let margin = String(repeating: " ", count: indent)
    for row in rows {
      var wrapped = Self.wrap(row.explanation, width: width - column)[...]
      let head = margin + row.term
      if head.count + 2 <= column, let first = wrapped.popFirst() {
        line(head + String(repeating: " ", count: column - head.count) + first)
      } else {
        line(head)
      }
      for rest in wrapped { line(String(repeating: " ", count: column) + rest) }
    }
  }

  /// Lines of at most `width` characters, broken at spaces; a longer word stands alone.
  static func wrap(_ text: String, width: Int) -> [String] {
    var rows: [String] = []
    var row = ""
    for word in text.split(whereSeparator: \.isWhitespace) {
      if row.isEmpty {
        row = String(word)
      } else if row.count + 1 + word.count <= width {
        row += " " + word
      } else {
        rows.append(row)
        row = String(word)
      }
    }
    return row.isEmpty ? rows : rows + [row]
  }
}
