/// Rows of cells as lines with aligned columns.
enum TextTable {
  /// - Parameters:
  ///   - cells: rows of the same length.
  ///   - leftColumns: how many columns from the left hold text; the others are numbers.
  static func lines(_ cells: [[String]], leftColumns: Int) -> [String] {
    guard let first = cells.first else { return [] }
    let widths = first.indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
    return cells.map { row in
      let padded = row.indices.map { column in
        let space = String(repeating: " ", count: widths[column] - row[column].count)
        return column < leftColumns ? row[column] + space : space + row[column]
      }
      return String(padded.joined(separator: "  ").reversed().drop { $0 == " " }.reversed())
    }
  }
}
