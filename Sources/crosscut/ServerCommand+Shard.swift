import Configuration
import Messages

/// Which parameter server of how many: "1/2".
struct ShardPlace: Hashable {
  /// From 1: shard 0 is the coordinator.
  let rank: Int
  let count: Int

  /// - Throws: `UsageError` that says what to write.
  init(_ text: String, written: String, command: String) throws(UsageError) {
    func fail(_ why: String) -> UsageError {
      UsageError(command: command, message: "\(written) \"\(text)\": \(why)")
    }
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let rank = parts[0], let count = parts[1], count >= 1,
      (0..<count).contains(rank)
    else { throw fail("expected I/S, I from 1 to S-1, like 1/2") }
    guard rank > 0 else {
      throw fail(
        "shard 0 is the coordinator: start it without \(written), with --server-shards \(count)")
    }
    self.rank = rank
    self.count = count
  }
}

extension ServerCommand {
  /// Options that mean something to a shard; everything else comes from the coordinator.
  private static let shardOptions: Set<String> = [
    "shard", "coordinator", "join", "join-timeout", "key-file", "listen", "insecure",
    "allow-drills", "record", "verbose", "help",
  ]

  /// Runs as shard beside a coordinator if the arguments say so.
  ///
  /// - Returns: the exit code; `nil` if this is to be a coordinator.
  /// - Throws: `UsageError`, or why the shard had to stop.
  static func runAsShard(_ arguments: ParsedArguments) throws -> Int32? {
    guard let text = arguments.string("shard") else {
      for name in ["coordinator", "join", "join-timeout"]
      where arguments.has(name) && !arguments.isInherited(name) {
        throw UsageError(
          command: command.name, message: "--\(name) is for a shard: add --shard I/S")
      }
      return nil
    }
    let place = try ShardPlace(text, written: arguments.label("shard"), command: command.name)
    for option in command.options
    where !shardOptions.contains(option.name) && arguments.has(option.name)
      && !arguments.isInherited(option.name)
    {
      throw UsageError(
        command: command.name,
        message: "--\(option.name) is the coordinator's: a shard has everything from there")
    }
    guard arguments.typedPositionals == 0 else {
      throw UsageError(
        command: command.name,
        message: "CONFIG is the coordinator's: a shard has everything from there")
    }
    return try NodeCommand.runMembers([.shard], arguments, place: place)
  }
}
