import Glibc
import Nodes

/// `crosscut token`: lets a machine join without copying keys.
enum TokenCommand {
  static let command = Command(
    words: ["token"],
    summary: "print a token with which machines join a cluster that encrypts",
    details: [
      "To be run where the server's key is. The token carries the server's address, its key and a"
        + " key that holds for a while; a machine that joins with it is given a key of its own and"
        + " is put on the server's list. Who has the token can join: pass it on like a password."
    ],
    positionals: [
      Positional(
        name: "RUN",
        help: "The directory of a run of crosscut train --secure or crosscut server --secure.")
    ],
    options: [
      Option(
        name: "key-file", value: .text("FILE"), help: "The server's key.",
        standard: "RUN/keys/server.key"),
      Option(
        name: "server", value: .text("ENDPOINT"),
        help: "The server's address as the machine that joins sees it.",
        standard: "what RUN/server.address says"),
      Option(
        name: "valid", value: .integer("MINUTES", 1...525_600), help: "How long it holds.",
        standard: "60"),
      Option(name: "once", help: "Only the first that joins with it is let in."),
    ],
    examples: [
      Example(
        line: "crosscut token runs/mine",
        meaning: "Followed by | ssh gpu1 crosscut worker --join - : a worker there, without a file."
      ),
      Example(
        line: "crosscut token --key-file keys/server.key --server tcp://10.0.0.1:5555 --once",
        meaning: "For one machine only."),
    ],
    run: run)

  /// - Throws: `UsageError`, or `NodeError` for what cannot be read or written.
  static func run(_ arguments: ParsedArguments) throws -> Int32 {
    let run = arguments.positional(0)
    guard let path = arguments.string("key-file") ?? run.map({ $0 + "/keys/server.key" }) else {
      throw UsageError(
        command: "token",
        message: "say which server: RUN, or --key-file FILE with --server ENDPOINT")
    }
    let address = try address(arguments, run)
    let file = try ServerKeyFile(path: path)
    let token = try JoinToken.issue(
      file, address: address,
      seconds: 60 * (arguments.integer("valid") ?? 60), once: arguments.has("once"))
    try Console.print(TokenSeal.seal(token.text) + "\n")
    return ExitCode.success
  }

  private static func address(_ arguments: ParsedArguments, _ run: String?) throws -> String {
    if let given = arguments.string("server") {
      try Endpoint.check(given, written: arguments.label("server"), command: "token")
      guard !Endpoint.isWildcard(given) else {
        throw UsageError(
          command: "token",
          message:
            "\(arguments.label("server")) \"\(given)\" is where a server listens, nobody can "
            + "go there: name the machine, as tcp://\(Host.name):5555")
      }
      return given
    }
    guard let run else {
      throw UsageError(
        command: "token", message: "missing --server ENDPOINT: the token has to say where to go")
    }
    let bound = try RunFolders.boundAddress(of: run)
    guard !Endpoint.isWildcard(bound) else {
      // The machine's name: what others call it is not known here.
      let port = bound.split(separator: ":").last ?? "5555"
      return "tcp://\(Host.name):\(port)"
    }
    return bound
  }
}
