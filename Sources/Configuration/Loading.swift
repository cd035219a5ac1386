import Glibc

extension RunConfiguration {
  /// Reads a configuration file or a preset.
  ///
  /// - Parameter name: a path if such a file exists or the name ends in `.json5` or `.json`, else a
  ///   preset; `nil` is the preset `fashion`.
  /// - Throws: `ConfigurationError` naming the file, the key path and what was expected.
  package static func load(
    _ name: String?, overrides: [ConfigurationOverride] = []
  ) throws(ConfigurationError) -> RunConfiguration {
    let name = name ?? Preset.standard
    let isFile = name.hasSuffix(".json5") || name.hasSuffix(".json") || access(name, F_OK) == 0
    guard !isFile else {
      return try parse(text: readFile(name), source: name, overrides: overrides)
    }
    return try preset(named: name, overrides: overrides)
  }

  /// One of the configurations that are built in.
  package static func preset(
    named name: String, overrides: [ConfigurationOverride] = []
  ) throws(ConfigurationError) -> RunConfiguration {
    guard let text = Preset.text(named: name) else {
      let near = Suggestion.nearest(to: name, in: presetNames)
      throw ConfigurationError(
        source: name,
        "neither a file nor a preset"
          + (near.map { "; did you mean \"\($0)\"?" }
            ?? "; the presets are \(presetNames.joined(separator: ", "))"))
    }
    return try parse(text: text, source: "preset \(name)", overrides: overrides)
  }

  /// The presets' names in alphabetical order.
  package static var presetNames: [String] { Preset.names }

  /// The file of a preset, comments included; `nil`: there is none of that name.
  package static func presetText(named name: String) -> String? { Preset.text(named: name) }

  /// Reads JSON5, lays the overrides over it in their order, fills in defaults and validates.
  ///
  /// - Parameter source: what errors call the text: a file's name.
  package static func parse(
    text: String, source: String, overrides: [ConfigurationOverride] = []
  ) throws(ConfigurationError) -> RunConfiguration {
    var tree = try JSONValue(json5: text, source: source)
    do throws(ConfigurationError) {
      try expandNetwork(&tree)
      for override in overrides {
        try override.apply(to: &tree)
        try expandNetwork(&tree)
      }
      var configuration = try RunConfiguration.read(tree, at: .root)
      try configuration.resolve()
      try configuration.validate()
      return configuration
    } catch {
      throw error.located(source: source, overrides: overrides)
    }
  }

  /// The configuration as strict JSON with every default filled in; `parse` reads it back to an
  /// equal one.
  package func resolvedJSON() -> String { json.prettyText }

  /// Replaces a network's name by what the preset of that name has, so that overrides can reach
  /// its layers.
  private static func expandNetwork(_ tree: inout JSONValue) throws(ConfigurationError) {
    guard case .object(var members) = tree else { return }
    let place = ConfigurationPath.root.key("network")
    let position = members.firstIndex { $0.key == "network" } ?? members.count
    if position == members.count { members.append(.init("network", .string(Preset.standard))) }
    guard case .string(let name) = members[position].value else { return }
    guard let text = Preset.text(named: name) else {
      let near = Suggestion.nearest(to: name, in: Preset.names)
      throw place.error(
        "no preset is called \"\(name)\""
          + (near.map { "; did you mean \"\($0)\"?" }
            ?? "; there are \(Preset.names.joined(separator: ", "))"))
    }
    guard let network = try JSONValue(json5: text, source: "preset \(name)")["network"] else {
      throw place.error("the preset \"\(name)\" has no network")
    }
    members[position].value = network
    tree = .object(members)
  }

  private static func readFile(_ path: String) throws(ConfigurationError) -> String {
    guard let file = fopen(path, "rb") else {
      throw ConfigurationError(source: path, String(cString: strerror(errno)).lowercased())
    }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = fread(&buffer, 1, buffer.count, file)
      guard count > 0 else { break }
      bytes += buffer[..<count]
      guard bytes.count <= 16 << 20 else {
        throw ConfigurationError(source: path, "larger than 16 MiB: no configuration")
      }
    }
    guard ferror(file) == 0 else {
      throw ConfigurationError(source: path, String(cString: strerror(errno)).lowercased())
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw ConfigurationError(source: path, "not UTF-8 text")
    }
    return text
  }
}

extension ConfigurationError {
  /// The error with its source: the last override that touches the key path, else the text.
  fileprivate func located(
    source: String, overrides: [ConfigurationOverride]
  ) -> ConfigurationError {
    guard self.source.isEmpty else { return self }
    var located = self
    let culprit = overrides.last { override in
      guard let keyPath else { return false }
      return Self.reaches(override.keyPath, keyPath) || Self.reaches(keyPath, override.keyPath)
    }
    located.source = culprit?.option ?? source
    return located
  }

  /// Whether `path` is `other` or stands above it.
  private static func reaches(_ path: String, _ other: String) -> Bool {
    guard other.hasPrefix(path) else { return false }
    let next = other.dropFirst(path.count).first
    return next == nil || next == "." || next == "["
  }
}
