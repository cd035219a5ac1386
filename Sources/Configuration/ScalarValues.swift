extension Int: ConfigurationValue {
  static func read(
    _ json: JSONValue, at path: ConfigurationPath
  ) throws(ConfigurationError) -> Int {
    guard case .int(let value) = json else {
      throw path.error("expected a whole number, found \(json.found)")
    }
    return value
  }

  var json: JSONValue { .int(self) }
}

extension UInt64: ConfigurationValue {
  static func read(
    _ json: JSONValue, at path: ConfigurationPath
  ) throws(ConfigurationError) -> UInt64 {
    let value = try Int.read(json, at: path)
    guard value >= 0 else { throw path.error("must be at least 0, not \(value)") }
    return UInt64(value)
  }

  var json: JSONValue { .int(Int(clamping: self)) }
}

extension Double: ConfigurationValue {
  static func read(
    _ json: JSONValue, at path: ConfigurationPath
  ) throws(ConfigurationError) -> Double {
    switch json {
    case .int(let value): return Double(value)
    case .double(let value) where value.isFinite: return value
    case .double: throw path.error("expected a finite number, found \(json.found)")
    default: throw path.error("expected a number, found \(json.found)")
    }
  }

  var json: JSONValue { .double(self) }
}

extension Float: ConfigurationValue {
  static func read(
    _ json: JSONValue, at path: ConfigurationPath
  ) throws(ConfigurationError) -> Float {
    let value = Float(try Double.read(json, at: path))
    guard value.isFinite else { throw path.error("too large for a 32-bit float") }
    return value
  }

  /// The digits of the float, not of its widening: 0.1, not 0.10000000149011612.
  var json: JSONValue { .double(Double(description) ?? Double(self)) }
}

extension Bool: ConfigurationValue {
  static func read(
    _ json: JSONValue, at path: ConfigurationPath
  ) throws(ConfigurationError) -> Bool {
    guard case .bool(let value) = json else {
      throw path.error("expected true or false, found \(json.found)")
    }
    return value
  }

  var json: JSONValue { .bool(self) }
}

extension String: ConfigurationValue {
  static func read(
    _ json: JSONValue, at path: ConfigurationPath
  ) throws(ConfigurationError) -> String {
    guard case .string(let value) = json else {
      throw path.error("expected a string, found \(json.found)")
    }
    return value
  }

  var json: JSONValue { .string(self) }
}

extension Optional: ConfigurationValue where Wrapped: ConfigurationValue {
  static func read(
    _ json: JSONValue, at path: ConfigurationPath
  ) throws(ConfigurationError) -> Wrapped? {
    if case .null = json { return nil }
    return try Wrapped.read(json, at: path)
  }

  var json: JSONValue { self?.json ?? .null }
}

extension Array: ConfigurationValue where Element: ConfigurationValue {
  static func read(
    _ json: JSONValue, at path: ConfigurationPath
  ) throws(ConfigurationError) -> [Element] {
    guard case .array(let elements) = json else {
      throw path.error("expected a list, found \(json.found)")
    }
    var out: [Element] = []
    for (index, element) in elements.enumerated() {
      out.append(try Element.read(element, at: path.index(index)))
    }
    return out
  }

  var json: JSONValue { .array(map(\.json)) }
}

/// One of a few words.
protocol ConfigurationWord: ConfigurationValue, RawRepresentable<String>, CaseIterable {
  /// Words of the design that this version does not have.
  static var planned: [String] { get }
}

extension ConfigurationWord {
  static var planned: [String] { [] }

  static func read(
    _ json: JSONValue, at path: ConfigurationPath
  ) throws(ConfigurationError) -> Self {
    let words = allCases.map(\.rawValue)
    let list = words.map { "\"\($0)\"" }.joined(separator: ", ")
    let expected = words.count == 1 ? list : "one of \(list)"
    guard case .string(let word) = json else {
      throw path.error("expected \(expected), found \(json.found)")
    }
    if let value = Self(rawValue: word) { return value }
    // "ssp:3" is the word "ssp" with its argument.
    if planned.contains(where: { word == $0 || word.hasPrefix("\($0):") }) {
      throw path.error("\"\(word)\" is not built yet; this version has \(list)")
    }
    let near = Suggestion.nearest(to: word, in: words)
    throw path.error(
      "expected \(expected), found \"\(word)\"" + (near.map { "; did you mean \"\($0)\"?" } ?? ""))
  }

  var json: JSONValue { .string(rawValue) }
}
