/// One `key=value` from the command line, laid over what the file says.
package struct ConfigurationOverride: Hashable, Sendable, ExpressibleByStringLiteral {
  /// The option as the user wrote it, for errors: `--set globalBatch=0`, `--workers 0`,
  /// `CROSSCUT_SEED 0`.
  package let option: String
  private let keyText: String
  private let value: Value

  private enum Value: Hashable {
    /// JSON5, or else a string.
    case text(String)
    case json(JSONValue)
    /// There was no `=`.
    case missing
  }

  /// - Parameters:
  ///   - text: `key=value`, e.g. `network.layers[2].channels=64`; the value is JSON5, or else a
  ///     string.
  ///   - option: where it stands, for errors; `nil` for `--set`.
  package init(_ text: String, option: String? = nil) {
    self.option = option ?? "--set \(text)"
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    keyText = String(parts[0])
    value = parts.count == 2 ? .text(String(parts[1])) : .missing
  }

  /// What an option of its own stands for: `--workers 3` for `cluster.workers`.
  package init(_ keyPath: String, value: JSONValue, option: String) {
    self.option = option
    keyText = keyPath
    self.value = .json(value)
  }

  package init(stringLiteral text: String) { self.init(text) }

  /// The key path on the left of `=`.
  var keyPath: String { keyText }

  /// Puts the value into the tree, making objects that are missing on the way.
  ///
  /// - Throws: `ConfigurationError` naming the option.
  func apply(to tree: inout JSONValue) throws(ConfigurationError) {
    let json: JSONValue
    switch value {
    case .missing: throw ConfigurationError(source: option, "expected KEY=VALUE")
    case .json(let given): json = given
    case .text(let written):
      do throws(ConfigurationError) {
        json = try JSONValue(json5: written, source: option)
      } catch {
        // A list or an object with a slip in it is not meant as a string.
        if written.hasPrefix("[") || written.hasPrefix("{") { throw error }
        json = .string(written)
      }
    }
    guard !keyText.isEmpty else { throw ConfigurationError(source: option, "expected KEY=VALUE") }
    let path = try components()
    try set(json, at: path[...], in: &tree, reached: "")
  }

  private enum Component {
    case key(String)
    case index(Int)
  }

  private func components() throws(ConfigurationError) -> [Component] {
    var out: [Component] = []
    for part in keyPath.split(separator: ".", omittingEmptySubsequences: false) {
      let pieces = part.split(separator: "[", omittingEmptySubsequences: false)
      guard let key = pieces.first, !key.isEmpty else { throw malformed }
      out.append(.key(String(key)))
      for piece in pieces.dropFirst() {
        guard piece.last == "]", let index = Int(piece.dropLast()), index >= 0 else {
          throw malformed
        }
        out.append(.index(index))
      }
    }
    return out
  }

  private var malformed: ConfigurationError {
    ConfigurationError(
      source: option, "\"\(keyPath)\" is no key path; expected keys like network.layers[2].channels"
    )
  }

  private func set(
    _ value: JSONValue, at path: ArraySlice<Component>, in tree: inout JSONValue, reached: String
  ) throws(ConfigurationError) {
    guard let head = path.first else {
      tree = value
      return
    }
    let place = reached.isEmpty ? "the configuration" : reached
    switch (head, tree) {
    case (.key(let key), .object(var members)):
      let below = reached.isEmpty ? key : "\(reached).\(key)"
      let position = members.firstIndex { $0.key == key } ?? members.count
      if position == members.count { members.append(.init(key, .object([]))) }
      try set(value, at: path.dropFirst(), in: &members[position].value, reached: below)
      tree = .object(members)
    case (.index(let index), .array(var elements)):
      guard index < elements.count else {
        let count = elements.count == 1 ? "1 entry" : "\(elements.count) entries"
        throw ConfigurationError(source: option, "\(place) has \(count), counted from 0")
      }
      let below = "\(reached)[\(index)]"
      try set(value, at: path.dropFirst(), in: &elements[index], reached: below)
      tree = .array(elements)
    case (.key(let key), _):
      throw ConfigurationError(
        source: option, "\(place) is \(tree.found), which has no key \"\(key)\"")
    case (.index, .object(let members)) where members.isEmpty:
      throw ConfigurationError(source: option, "\(place) is not written out, so it has no entries")
    case (.index, _):
      throw ConfigurationError(source: option, "\(place) is \(tree.found), which has no entries")
    }
  }
}
