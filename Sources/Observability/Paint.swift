/// Colours of a terminal, or none.
struct Paint {
  /// What a text is, not what it looks like.
  enum Style {
    case plain, strong, quiet, good, warning, bad
  }

  let isColored: Bool

  /// The text in its style. It is padded before: escape sequences have no width.
  func callAsFunction(_ text: String, _ style: Style) -> String {
    guard isColored, style != .plain, !text.isEmpty else { return text }
    let code =
      switch style {
      case .plain: "0"
      case .strong: "1"
      case .quiet: "2"
      case .good: "32"
      case .warning: "33"
      case .bad: "31"
      }
    return "\u{1B}[\(code)m\(text)\u{1B}[0m"
  }

  /// A bar of `width` characters, filled to `fraction` in eighths of a character.
  static func bar(_ fraction: Double, width: Int) -> String {
    let part = fraction.isFinite ? min(max(fraction, 0), 1) : 0
    let eighths = Int((part * Double(width * 8)).rounded(.down))
    let partial = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]
    let filled = String(repeating: "█", count: eighths / 8) + partial
    return filled + String(repeating: "·", count: width - filled.count)
  }
}

/// A text in a style; joined to lines whose width is counted without the escapes.
struct Span {
  let text: String
  let style: Paint.Style
  /// Prose may be cut where a line ends; half a number would be wrong.
  let isProse: Bool

  init(_ text: String, _ style: Paint.Style = .plain, isProse: Bool = false) {
    self.text = Format.printable(text)
    self.style = style
    self.isProse = isProse
  }

  /// The spans, two blanks apart, as many of them as fit into `columns` characters.
  static func line(_ spans: [Span], columns: Int, paint: Paint) -> String {
    var left = columns
    var line = ""
    for span in spans where !span.text.isEmpty {
      let gap = line.isEmpty ? 0 : 2
      guard left > gap, span.isProse || line.isEmpty || span.text.count <= left - gap else {
        break
      }
      let text = Format.clipped(span.text, to: left - gap)
      line += String(repeating: " ", count: gap) + paint(text, span.style)
      left -= gap + text.count
    }
    return line
  }
}
