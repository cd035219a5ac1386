import Messages

extension ParsedArguments {
  /// "worker-1" or "worker 1" as a node's name.
  ///
  /// - Throws: `UsageError` for what is none.
  func node(named text: String) throws(UsageError) -> NodeName {
    if text == "server" { return .server }
    let parts = text.replacing(" ", with: "-").split(separator: "-", maxSplits: 1)
    guard parts.count == 2, let role = Role(rawValue: String(parts[0])),
      role == .worker || role == .fc, let rank = Int(parts[1]), (0...1_000_000).contains(rank)
    else {
      throw UsageError(
        command: command.name, message: "\"\(text)\" is no node: server, worker-0, fc-0")
    }
    return NodeName(role, rank)
  }
}
