import Configuration
import Glibc
import Nodes

extension Option {
  static let keyFile = Option(
    name: "key-file", value: .text("FILE"),
    help: "This node's key, made by crosscut keygen: nodes/NAME.key of the server's folder of keys."
  )
  static let join = Option(
    name: "join", value: .text("TOKEN"),
    help: "The word that crosscut token has printed: it stands for address and key. @FILE reads it"
      + " from a file, - from standard input.")
  /// Of commands for which a token is never enough: whoever gives one is told so.
  static let refusedJoin = Option(
    name: "join", value: .text("TOKEN"),
    help: "Refused: commands and logs need a node's key (--key-file).")
  static let joinTimeout = Option(
    name: "join-timeout", value: .integer("SECONDS", 1...86_400),
    help: "How long to look for the server.", standard: "60")
  static let insecure = Option(
    name: "insecure",
    help: "Listen beyond this machine without encryption and without asking who comes: for networks"
      + " you trust.")
}

extension ParsedArguments {
  /// What the command is to show at the server; `nil` for neither --key-file nor --join.
  ///
  /// - Parameter waiting: waits up to this many seconds for the key file, which a server may be
  ///   about to make; tells `note` of it.
  /// - Throws: `NodeError` for an unreadable file or token.
  func credentials(
    waiting seconds: Int = 0, note: (String) -> Void = { _ in }
  ) throws -> Credentials? {
    if try takesToken() { return .token(try joinToken()) }
    guard let path = string("key-file") else { return nil }
    try Self.wait(for: path, seconds: seconds, note)
    return .keyFile(try NodeKeyFile(path: path))
  }

  /// The same for what a server does and shows only for those who have a node's key.
  ///
  /// - Throws: also `UsageError` for a token.
  func operatorCredentials() throws -> Credentials? {
    guard try !takesToken() else {
      throw UsageError(
        command: command.name,
        message: "commands and logs need a node's key: give --key-file FILE; a token "
          + "(\(label("join"))) is for joining")
    }
    return try credentials()
  }

  /// Of what stands on the command line and what comes from the environment the former holds.
  private func takesToken() throws(UsageError) -> Bool {
    let hasFile = has("key-file"), hasToken = has("join")
    if hasFile, hasToken, isInherited("key-file") == isInherited("join") {
      throw UsageError(
        command: command.name,
        message: "\(label("key-file")) and \(label("join")) exclude each other")
    }
    return hasToken && (!hasFile || isInherited("key-file") || !isInherited("join"))
  }

  private func joinToken() throws -> JoinToken {
    let text = string("join") ?? ""
    if text == "-" {
      return try TokenSeal.open(TextFile.read(descriptor: STDIN_FILENO, name: "standard input"))
    }
    if text.hasPrefix("@") {
      return try TokenSeal.open(TextFile.read(path: String(text.dropFirst())))
    }
    do throws(NodeError) {
      return try TokenSeal.open(text)
    } catch {
      throw UsageError(command: command.name, message: "\(error)")
    }
  }

  /// In a container the server makes the keys, and may come up later than its members.
  private static func wait(for path: String, seconds: Int, _ note: (String) -> Void) throws {
    guard seconds > 0, access(path, F_OK) != 0, errno == ENOENT else { return }
    note("waiting for the key file \(path), which the server makes when it first starts")
    for _ in 0..<(seconds * 10) {
      guard access(path, F_OK) != 0 else { return }
      // A signal ends the process here as it would anywhere before it joins.
      poll(nil, 0, 100)
    }
  }

  /// The server's address: that of RUN, --server, or what the token says.
  ///
  /// - Parameters:
  ///   - standard: where there is neither.
  ///   - name: what the option is called.
  func serverAddress(
    _ credentials: Credentials?, standard: String? = nil, option name: String = "server"
  ) throws -> String {
    if let run = observedRun {
      guard !has(name) || isInherited(name) else {
        throw UsageError(
          command: command.name, message: "RUN and \(label(name)) exclude each other")
      }
      return try RunFolders.server(of: run)
    }
    if let given = string(name) {
      try Endpoint.check(given, written: label(name), command: command.name)
      return given
    }
    if case .token(let token) = credentials {
      try Endpoint.check(token.address, written: "the token's", command: command.name)
      return token.address
    }
    guard let standard else {
      throw UsageError(
        command: command.name,
        message:
          "missing --\(name) ENDPOINT (or \(Environment.variable(of: name))), or --join TOKEN")
    }
    return standard
  }
}

/// Keeps a token given on the command line out of `ps`.
enum SecretArguments {
  /// Starts this program anew with the token in the environment, which only the user can see.
  static func hide() {
    var words = CommandLine.arguments
    var token: String?
    var index = 1
    while index < words.count, words[index] != "--" {
      let isPair = words[index] == "--join" && index + 1 < words.count
      guard isPair || words[index].hasPrefix("--join=") else {
        index += 1
        continue
      }
      let value = isPair ? words[index + 1] : String(words[index].dropFirst("--join=".count))
      // A file's name and the dash for standard input are no secrets; an empty word is an error.
      guard !value.isEmpty, !value.hasPrefix("@"), !value.hasPrefix("-") else { return }
      token = value
      words.removeSubrange(index...(isPair ? index + 1 : index))
    }
    guard let token else { return }
    setenv(Environment.variable(of: "join"), token, 1)
    var arguments = words.map { strdup($0) } + [nil]
    execv(Host.executable, &arguments)
    // Without /proc it goes on: with the token in sight, but with the same meaning.
    for argument in arguments { free(argument) }
  }
}
