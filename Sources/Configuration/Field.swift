/// Where a value stands: `network.layers[4].groups`.
struct ConfigurationPath: Hashable, CustomStringConvertible {
  let description: String

  static let root = ConfigurationPath(description: "")

  func key(_ key: String) -> ConfigurationPath {
    ConfigurationPath(description: description.isEmpty ? key : "\(description).\(key)")
  }

  func index(_ index: Int) -> ConfigurationPath {
    ConfigurationPath(description: "\(description)[\(index)]")
  }

  func error(_ message: String) -> ConfigurationError {
    ConfigurationError(keyPath: description.isEmpty ? nil : description, message)
  }
}

/// A type that is read from a JSON value and written as one.
protocol ConfigurationValue {
  static func read(
    _ json: JSONValue, at path: ConfigurationPath
  ) throws(ConfigurationError) -> Self
  var json: JSONValue { get }
  /// The keys below such a value, for documentation.
  static var keys: [ConfigurationKey] { get }
}

extension ConfigurationValue {
  static var keys: [ConfigurationKey] { [] }
}

/// An object of the configuration whose keys are described once: reading, writing, the check for
/// unknown keys and the documentation all follow from `fields`.
protocol ConfigurationSection: ConfigurationValue {
  /// Every default.
  init()
  /// The keys, in the order in which they are written.
  static var fields: [Field<Self>] { get }
  /// What an error calls it: "a conv layer".
  static var title: String { get }
}

/// One key of a section.
struct Field<Section> {
  let key: String
  let help: String
  /// Without it the section means nothing.
  let required: Bool
  let read: (inout Section, JSONValue, ConfigurationPath) throws(ConfigurationError) -> Void
  let write: (Section) -> JSONValue
  /// Keys below this one, relative to it.
  let children: [ConfigurationKey]

  init<Value: ConfigurationValue>(
    _ key: String, _ path: WritableKeyPath<Section, Value>, required: Bool = false,
    _ rule: Rule<Value>, _ help: String
  ) {
    self.key = key
    self.help = help
    self.required = required
    children = Value.keys
    read = {
      (section: inout Section, json: JSONValue, place: ConfigurationPath)
        throws(ConfigurationError) in
      let value = try Value.read(json, at: place)
      if let violation = rule.violation(value) { throw place.error(violation) }
      section[keyPath: path] = value
    }
    write = { $0[keyPath: path].json }
  }

  init<Value: ConfigurationValue>(
    _ key: String, _ path: WritableKeyPath<Section, Value>, required: Bool = false, _ help: String
  ) {
    self.init(key, path, required: required, Rule { _ in nil }, help)
  }
}

/// One key of the configuration as `crosscut help configuration` lists it.
package struct ConfigurationKey: Hashable, Sendable {
  /// `optimizer.learningRate`.
  package let path: String
  package let help: String
  /// As JSON on one line; `nil` for a key that must be given, and for one that holds keys itself.
  package let defaultText: String?

  /// The key of one of several kinds of an object.
  func annotated(_ kind: String) -> ConfigurationKey {
    ConfigurationKey(path: path, help: "(\(kind)) \(help)", defaultText: defaultText)
  }
}

extension ConfigurationSection {
  static var keys: [ConfigurationKey] {
    let defaults = Self()
    return fields.flatMap { field in
      let own = ConfigurationKey(
        path: field.key, help: field.help,
        defaultText: field.required || !field.children.isEmpty
          ? nil : field.write(defaults).lineText)
      return [own]
        + field.children.map {
          ConfigurationKey(
            path: "\(field.key).\($0.path)", help: $0.help, defaultText: $0.defaultText)
        }
    }
  }

  static func read(
    _ json: JSONValue, at path: ConfigurationPath
  ) throws(ConfigurationError) -> Self {
    try readFields(json, at: path)
  }

  /// Reads an object by the section's fields.
  ///
  /// - Parameter known: keys that the caller reads itself ("type").
  static func readFields(
    _ json: JSONValue, at path: ConfigurationPath, known: [String] = []
  ) throws(ConfigurationError) -> Self {
    guard case .object(let members) = json else {
      throw path.error("expected an object, found \(json.found)")
    }
    let fields = Self.fields
    let vocabulary = known + fields.map(\.key)
    for member in members where !vocabulary.contains(member.key) {
      throw path.key(member.key).error(unknownKey(member.key, in: vocabulary))
    }
    var section = Self()
    for field in fields {
      guard let value = json[field.key] else {
        if field.required { throw path.key(field.key).error("missing: \(title) needs it") }
        continue
      }
      try field.read(&section, value, path.key(field.key))
    }
    return section
  }

  private static func unknownKey(_ key: String, in vocabulary: [String]) -> String {
    if let near = Suggestion.nearest(to: key, in: vocabulary) {
      return "unknown key; did you mean \"\(near)\"?"
    }
    // The right key in the wrong place is as common as a slip of the finger.
    let elsewhere = RunConfiguration.keys.map(\.path).first { $0.hasSuffix(".\(key)") }
    if let elsewhere { return "unknown key; did you mean \"\(elsewhere)\"?" }
    return "unknown key; \(title) has \(vocabulary.joined(separator: ", "))"
  }

  var json: JSONValue {
    .object(Self.fields.map { JSONValue.Member($0.key, $0.write(self)) })
  }
}
