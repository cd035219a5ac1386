/// Finds where a JSON5 text goes wrong.
///
/// FoundationEssentials' decoder says only "not valid JSON", without a place, and keeps the first
/// of two equal keys without a word. This scanner walks the grammar once, builds nothing and
/// reports the first finding; values always come from the decoder.
struct JSON5Scanner {
  /// What is wrong, and where.
  struct Finding: Hashable, CustomStringConvertible {
    /// From 1.
    let line: Int
    /// From 1, in characters.
    let column: Int
    let message: String
    let isDuplicateKey: Bool

    var description: String { "line \(line), column \(column): \(message)" }
  }

  private struct Stop: Error { let finding: Finding }

  private let scalars: [Unicode.Scalar]
  private var position = 0
  /// A nesting limit below the decoder's own, so that a hostile text cannot exhaust the stack.
  private static let maximumDepth = 200

  init(_ text: String) { scalars = Array(text.unicodeScalars) }

  /// The first syntax error or repeated key, or `nil` for a sound text.
  mutating func firstFinding() -> Finding? {
    position = scalars.first == "\u{FEFF}" ? 1 : 0
    do throws(Stop) {
      try skipSpace()
      try value(depth: 0)
      try skipSpace()
      if position < scalars.count { throw unexpected("after the end of the document") }
      return nil
    } catch {
      return error.finding
    }
  }

  private var current: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

  private mutating func value(depth: Int) throws(Stop) {
    guard depth < Self.maximumDepth else { throw stop("nested too deeply") }
    switch current {
    case "{": try object(depth: depth)
    case "[": try array(depth: depth)
    case "\"", "'": _ = try string()
    case .some(let scalar) where Self.isWord(scalar) || scalar == "+" || scalar == "-": try word()
    default: throw unexpected("where a value was expected")
    }
  }

  private mutating func object(depth: Int) throws(Stop) {
    let start = position
    position += 1
    var keys: Set<String> = []
    while true {
      try skipSpace()
      if current == "}" { break }
      let keyStart = position
      let key = try memberName(opened: start)
      try skipSpace()
      guard current == ":" else { throw unexpected("where ':' was expected after \"\(key)\"") }
      guard keys.insert(key).inserted else {
        throw stop("the key \"\(key)\" is given twice", at: keyStart, duplicate: true)
      }
      position += 1
      try skipSpace()
      try value(depth: depth + 1)
      try skipSpace()
      if current == "," {
        position += 1
      } else if current != "}" {
        throw current == nil
          ? stop("'{' is never closed", at: start)
          : unexpected("where ',' or '}' was expected")
      }
    }
    position += 1
  }

  private mutating func memberName(opened: Int) throws(Stop) -> String {
    switch current {
    case "\"", "'": return try string()
    case .some(let scalar) where Self.isWord(scalar):
      let start = position
      while let scalar = current, Self.isWord(scalar) { position += 1 }
      return text(start..<position)
    case nil: throw stop("'{' is never closed", at: opened)
    default: throw unexpected("where a key was expected")
    }
  }

  private mutating func array(depth: Int) throws(Stop) {
    let start = position
    position += 1
    while true {
      try skipSpace()
      if current == "]" { break }
      if current == nil { throw stop("'[' is never closed", at: start) }
      try value(depth: depth + 1)
      try skipSpace()
      if current == "," {
        position += 1
      } else if current != "]" {
        throw current == nil
          ? stop("'[' is never closed", at: start)
          : unexpected("where ',' or ']' was expected")
      }
    }
    position += 1
  }

  /// The characters between the quotes; escapes are kept as written, which is enough to tell keys
  /// apart.
  private mutating func string() throws(Stop) -> String {
    let start = position
    let quote = scalars[position]
    position += 1
    while let scalar = current, scalar != quote {
      if scalar == "\n" { throw stop("a string is not closed on its line", at: start) }
      position += scalar == "\\" ? 2 : 1
    }
    guard current == quote else { throw stop("a string is never closed", at: start) }
    position += 1
    return text(start + 1..<position - 1)
  }

  /// `true`, `false`, `null` or a number.
  private mutating func word() throws(Stop) {
    let start = position
    if current == "+" || current == "-" { position += 1 }
    while let scalar = current, Self.isWord(scalar) || scalar == "+" || scalar == "-" {
      position += 1
    }
    let word = text(start..<position)
    guard ["true", "false", "null"].contains(word) || Self.isNumber(word) else {
      throw stop("\(word) is neither a number nor a quoted string", at: start)
    }
  }

  private static func isNumber(_ word: String) -> Bool {
    let magnitude = word.first == "+" || word.first == "-" ? word.dropFirst() : word[...]
    if magnitude == "NaN" || magnitude == "Infinity" { return true }
    if magnitude.hasPrefix("0x") || magnitude.hasPrefix("0X") {
      let digits = magnitude.dropFirst(2)
      return !digits.isEmpty && digits.allSatisfy(\.isHexDigit)
    }
    guard let first = magnitude.first, first.isNumber || first == "." else { return false }
    let dotted = magnitude.hasSuffix(".") ? "\(magnitude)0" : String(magnitude)
    return Double(dotted.hasPrefix(".") ? "0\(dotted)" : dotted) != nil
  }

  private mutating func skipSpace() throws(Stop) {
    while let scalar = current {
      if scalar.properties.isWhitespace || scalar == "\u{FEFF}" {
        position += 1
      } else if scalar == "/" {
        try comment()
      } else {
        return
      }
    }
  }

  private mutating func comment() throws(Stop) {
    let start = position
    switch position + 1 < scalars.count ? scalars[position + 1] : nil {
    case "/":
      while let scalar = current, scalar != "\n" { _ = scalar; position += 1 }
    case "*":
      position += 2
      while position + 1 < scalars.count, scalars[position] != "*" || scalars[position + 1] != "/" {
        position += 1
      }
      guard position + 1 < scalars.count else { throw stop("a comment is never closed", at: start) }
      position += 2
    default:
      throw unexpected("where a value, a key or a comment was expected")
    }
  }

  private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "_" || scalar == "$" || scalar == "." || scalar.properties.isAlphabetic
      || ("0"..."9").contains(scalar)
  }

  private func text(_ range: Range<Int>) -> String {
    var out = String.UnicodeScalarView()
    out.append(contentsOf: scalars[range])
    return String(out)
  }

  private func unexpected(_ context: String) -> Stop {
    stop(current.map { "found '\($0)' \(context)" } ?? "the text ends \(context)")
  }

  private func stop(_ message: String, at place: Int? = nil, duplicate: Bool = false) -> Stop {
    let place = min(place ?? position, scalars.count)
    var line = 1
    var column = 1
    for scalar in scalars[..<place] {
      if scalar == "\n" {
        line += 1
        column = 1
      } else {
        column += 1
      }
    }
    return Stop(
      finding: Finding(line: line, column: column, message: message, isDuplicateKey: duplicate))
  }
}
