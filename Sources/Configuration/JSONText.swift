import FoundationEssentials

extension JSONValue {
  /// Reads JSON5: comments, trailing commas, bare keys, single quotes.
  ///
  /// - Throws: `ConfigurationError` with line and column where the text is no JSON5, or where an
  ///   object gives one key twice (the decoder would silently keep the first).
  package init(json5 text: String, source: String) throws(ConfigurationError) {
    let decoder = JSONDecoder()
    decoder.allowsJSON5 = true
    var scanner = JSON5Scanner(text)
    let finding = scanner.firstFinding()
    let decoded: Result<JSONValue, any Error> = Result {
      try decoder.decode(JSONValue.self, from: Data(text.utf8))
    }
    switch (decoded, finding) {
    case (.success(let value), nil):
      self = value
    case (.success(let value), .some(let finding)):
      // The decoder has the last word about syntax; a key given twice it does not notice.
      guard finding.isDuplicateKey else {
        self = value
        return
      }
      throw ConfigurationError(source: source, finding.description)
    case (.failure, .some(let finding)):
      throw ConfigurationError(source: source, finding.description)
    case (.failure(let error), nil):
      throw ConfigurationError(source: source, Self.explain(error))
    }
  }

  private static func explain(_ error: any Error) -> String {
    switch error {
    case DecodingError.typeMismatch(_, let context), DecodingError.dataCorrupted(let context):
      let path = context.codingPath.map { key in
        key.intValue.map { "[\($0)]" } ?? ".\(key.stringValue)"
      }
      let place = path.joined().drop { $0 == "." }
      return place.isEmpty ? "not valid JSON5" : "\(place): not a value that can be read"
    default:
      return "not valid JSON5"
    }
  }

  /// Strict JSON with two spaces of indent; what fits on a line of 100 columns stands on one.
  package var prettyText: String {
    var out = ""
    write(to: &out, indent: 0, column: 0, root: true)
    return out + "\n"
  }

  /// Strict JSON on one line, with a space after each comma and colon.
  package var lineText: String {
    switch self {
    case .null: return "null"
    case .bool(let value): return "\(value)"
    case .int(let value): return "\(value)"
    case .double(let value): return Self.number(value)
    case .string(let value): return Self.quoted(value)
    case .array(let elements):
      return "[" + elements.map(\.lineText).joined(separator: ", ") + "]"
    case .object(let members):
      guard !members.isEmpty else { return "{}" }
      let inner = members.map { "\(Self.quoted($0.key)): \($0.value.lineText)" }
      return "{ " + inner.joined(separator: ", ") + " }"
    }
  }

  private func write(to out: inout String, indent: Int, column: Int, root: Bool = false) {
    let line = lineText
    // One column is left for the comma that may follow.
    if !root, column + line.count < 100 {
      out += line
      return
    }
    let margin = String(repeating: " ", count: indent + 2)
    let close = "\n" + String(repeating: " ", count: indent)
    switch self {
    case .array(let elements) where !elements.isEmpty:
      out += "["
      for (index, element) in elements.enumerated() {
        out += (index == 0 ? "\n" : ",\n") + margin
        element.write(to: &out, indent: indent + 2, column: indent + 2)
      }
      out += close + "]"
    case .object(let members) where !members.isEmpty:
      out += "{"
      for (index, member) in members.enumerated() {
        let head = margin + Self.quoted(member.key) + ": "
        out += (index == 0 ? "\n" : ",\n") + head
        member.value.write(to: &out, indent: indent + 2, column: head.count)
      }
      out += close + "}"
    default:
      out += line
    }
  }

  /// Shortest digits that read back as the same number. JSON has no NaN: null.
  private static func number(_ value: Double) -> String {
    guard value.isFinite else { return "null" }
    if value == value.rounded(), abs(value) < 1e15 { return "\(Int(value))" }
    return "\(value)"
  }

  private static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\t": out += "\\t"
      case "\r": out += "\\r"
      case let control where control.value < 0x20:
        let digits = String(control.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}
