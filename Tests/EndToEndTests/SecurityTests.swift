import Foundation
import Observability
import Testing

/// Clusters that encrypt: who comes in, what the others are told, and that no secret gets out.
@Suite(.timeLimit(.minutes(30)))
struct SecurityTests {
  private static let network = """
    {
      network: {
        name: "tiny", input: [1, 8, 8],
        layers: [
          { type: "conv", channels: 4, kernel: 3 }, "relu", { type: "fc", units: 16 }, "relu",
          { type: "fc", units: 4 },
        ],
      },
      dataset: { kind: "synthetic", examples: 400, testExamples: 64 },
      globalBatch: 16, steps: 60, evaluation: { everySteps: 30 },
      cluster: { workers: 1, fcNodes: 2 },
    }
    """

  private let scratch: Scratch
  private let configuration: String
  private let run: String

  init() throws {
    scratch = try Scratch()
    configuration = "\(scratch.path)/tiny.json5"
    run = "\(scratch.path)/run"
    try Self.network.write(toFile: configuration, atomically: true, encoding: .utf8)
  }

  private var nodeKey: String { "\(run)/keys/nodes/node.key" }

  /// A server that waits for its members, with new keys.
  private func server() throws -> (program: Program, address: String) {
    let program = try Program([
      "server", configuration, "--secure", "--listen", "tcp://127.0.0.1:0", "--run-dir", run,
    ])
    #expect(eventually { !scratch.text("run/server.address").isEmpty })
    return (program, scratch.text("run/server.address").trimmingCharacters(in: .newlines))
  }

  private func makeToken(_ more: String...) throws -> String {
    let program = try Program(["token", run] + more)
    #expect(program.finish() == 0, "\(program.output)")
    return program.output.trimmingCharacters(in: .newlines)
  }

  /// Every secret half in the folder of keys.
  private func secrets() -> [String] {
    ["server.key", "nodes/node.key"].flatMap { name in
      scratch.text("run/keys/\(name)").split(separator: "\n")
        .filter { $0.contains("secret ") && !$0.hasPrefix("#") }
        .compactMap { $0.split(separator: " ").last.map(String.init) }
    }
  }

  @Test(arguments: [[], ["--in-process"]])
  func `a cluster that encrypts trains as any other, and tells no secret`(more: [String]) throws {
    // Processes have no address in common but a socket's path; in one process it is known as well.
    let server = "ipc://\(scratch.path)/server"
    let pageToken = "0123456789abcdefghij"
    let tokenFile = "\(scratch.path)/page-token"
    try pageToken.write(toFile: tokenFile, atomically: true, encoding: .utf8)
    chmod(tokenFile, 0o600)
    let program = try Program(
      ["train", configuration, "--secure", "--run-dir", run, "--listen", server]
        + ["--set", "steps=100000", "--http", "127.0.0.1:0", "--http-token-file", tokenFile] + more)
    var status = ""
    #expect(
      eventually {
        let answer = try? Program.run(
          "status", "--json", "--server", server, "--key-file", nodeKey)
        status = answer?.output ?? ""
        guard let record = try? StatusRecord.decode(Array(status.utf8)) else { return false }
        return record.step > 5
      }, "\(status)\(program.output)")
    let found = secrets() + [pageToken]
    #expect(found.count == 4)
    var texts = ["status": Data(status.utf8)]
    for process in processes(of: [run, server]) {
      texts["process \(process)"] = FileManager.default.contents(
        atPath: "/proc/\(process)/cmdline")
    }
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    texts["output"] = Data(program.output.utf8)
    // Checkpoints and what the flight recorders keep, too.
    for name in try FileManager.default.subpathsOfDirectory(atPath: run)
    where !name.hasPrefix("keys") {
      texts[name] = FileManager.default.contents(atPath: "\(run)/\(name)")
    }
    #expect(!more.isEmpty || texts.keys.contains { $0.hasPrefix("flight/") }, "\(texts.keys)")
    #expect(texts.count > 6)
    for (name, text) in texts {
      for secret in found {
        #expect(text.range(of: Data(secret.utf8)) == nil, "\(name) has a secret")
      }
    }
  }

  @Test func `key files are for their owner alone, and others are refused`() throws {
    let keys = "\(scratch.path)/keys"
    let made = try Program.run("keygen", "--out", keys, "--node", "gpu1", "--node", "gpu2")
    #expect(made.code == 0, "\(made.output)")
    for name in ["server.key", "allowed-keys", "nodes/gpu1.key", "nodes/gpu2.key"] {
      let attributes = try FileManager.default.attributesOfItem(atPath: "\(keys)/\(name)")
      #expect(attributes[.posixPermissions] as? Int == 0o600, "\(name)")
    }
    let again = try Program.run("keygen", "--out", keys)
    #expect(again.code == 1)
    #expect(again.output.contains("is kept"), "\(again.output)")
    chmod("\(keys)/nodes/gpu1.key", 0o644)
    let refused = try Program.run("health", "--key-file", "\(keys)/nodes/gpu1.key")
    #expect(refused.code == 1)
    #expect(refused.output.contains("chmod 600 \(keys)/nodes/gpu1.key"), "\(refused.output)")
  }

  @Test(arguments: ["worker", "fc", "status", "health"])
  func `who has no key, or a wrong one, is told so in one line`(command: String) throws {
    let (server, address) = try server()
    let other = "\(scratch.path)/other"
    #expect(try Program.run("keygen", "--out", other).code == 0)
    let mine = scratch.text("run/keys/nodes/node.key")
    let theirs = scratch.text("other/nodes/node.key")
    func line(_ text: String, _ name: String) -> String {
      text.split(separator: "\n").map(String.init).first { $0.hasPrefix(name) } ?? ""
    }
    // The right server, and a key it does not know.
    let unknown = "\(scratch.path)/unknown.key"
    let text = "kind node\n\(line(theirs, "secret"))\n\(line(mine, "server"))\n"
    try text.write(toFile: unknown, atomically: true, encoding: .utf8)
    chmod(unknown, 0o600)
    let expected = [
      ([], "lets in only those who have a key: give --key-file FILE"),
      (["--key-file", unknown], "refuses the key of \(unknown)"),
      (["--key-file", "\(other)/nodes/node.key"], "has another key than"),
    ]
    for (more, words) in expected {
      let (code, output) = try Program.run([command, "--server", address] + more) { _, output in
        output.contains(words)
      }
      #expect(output.contains(words), "\(output)")
      #expect(code == 1)
      #expect(
        output.split(separator: "\n").count(where: { $0.hasPrefix("crosscut: ") }) == 1,
        "\(output)")
    }
    // Without a key both sides hang up at the same time, and either may be the first.
    for why in [["it does not encrypt", "it hung up"], ["not in allowed-keys"], ["another key"]] {
      func lines() -> [Substring] {
        server.output.split(separator: "\n").filter { line in why.contains { line.contains($0) } }
      }
      // Of one whose address is not known the server tells a moment later.
      #expect(eventually { !lines().isEmpty }, "\(why): \(server.output)")
      // Once for each way to see it, with an address and without; and once more after a minute.
      #expect((1...12).contains(lines().count), "\(why): \(server.output)")
    }
    // One that is closed before the server looks at it has no address any more.
    #expect(server.output.contains("refused a connection from "), "\(server.output)")
    server.send(SIGTERM)
    server.finish()
  }

  @Test func `a token lets machines join without a file, and stays out of sight`() throws {
    let (server, address) = try server()
    let token = try makeToken("--once")
    let many = try makeToken()
    let tokenFile = "\(scratch.path)/token"
    try (many + "\n").write(toFile: tokenFile, atomically: true, encoding: .utf8)
    chmod(tokenFile, 0o600)
    // A token also stands for the address; asking for the status does not use it up.
    let health = try Program.run(["health"], environment: ["CROSSCUT_JOIN": token]) { code, _ in
      code == 0
    }
    #expect(health.code == 0, "\(health.output)")

    let worker = try Program(["worker", "--join", token])
    #expect(
      eventually { server.output.contains("worker 0 joined") }, "\(worker.output)")
    let arguments = FileManager.default.contents(atPath: "/proc/\(worker.processID)/cmdline")
    #expect(!String(decoding: arguments ?? Data(), as: UTF8.self).contains("join"))

    let second = try Program(["worker", "--join", token])
    #expect(second.finish() == 1)
    #expect(second.output.contains("it has expired or has been used"), "\(second.output)")

    let nodes = try [["--join", "@\(tokenFile)"], ["--server", address, "--key-file", nodeKey]].map
    {
      try Program(["fc"] + $0)
    }
    #expect(server.finish() == 0, "\(server.output)")
    for node in nodes + [worker] { #expect(node.finish() == 0, "\(node.output)") }
    let secret = token.split(separator: ".")[2]
    for output in (nodes + [worker, second, server]).map(\.output) {
      #expect(!output.contains(secret))
    }
  }

  @Test(arguments: [["server", "lenet5"], ["train", "lenet5"]])
  func `without keys nothing listens beyond this machine unless told so`(
    words: [String]
  ) throws {
    let program = try Program(words + ["--listen", "tcp://*:0", "--run-dir", run])
    #expect(program.finish() == 2)
    #expect(
      program.output
        == "crosscut \(words[0]): --listen \"tcp://*:0\" can be reached from other machines, and "
        + "nothing would be encrypted: give --secure, or --insecure on a network you trust\n")
  }

  @Test func `an fc node for a server elsewhere needs a key or a word`() throws {
    let program = try Program(["fc", "--server", "tcp://192.0.2.1:5555"])
    #expect(program.finish() == 2)
    #expect(program.output.contains("--insecure"), "\(program.output)")
  }
}
