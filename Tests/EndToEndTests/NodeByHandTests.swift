import Foundation
import Testing

/// Nodes that are started by hand, one after the other, as on several machines.
@Suite(.timeLimit(.minutes(30)))
struct NodeByHandTests {
  private let cluster: TinyCluster

  init() throws { cluster = try TinyCluster() }

  @Test func `a node that is started by hand says in a line each what it waits for`() throws {
    let server = try Program([
      "server", cluster.configuration, "--run-dir", cluster.run, "--listen", "tcp://127.0.0.1:0",
      "--workers", "1", "--fc-nodes", "1",
    ])
    let address = try cluster.address()
    let worker = try Program(["worker", "--server", address])
    #expect(
      eventually {
        worker.output.contains("the run has not begun: waiting for 1 more fc node")
      }, "\(worker.output)")
    #expect(worker.output.contains("joined run"), "\(worker.output)")
    #expect(worker.output.contains("ready: 400 training and 64 test examples"))
    let fc = try Program(["fc", "--server", address])
    #expect(worker.finish() == 0, "\(worker.output)")
    #expect(fc.finish() == 0, "\(fc.output)")
    #expect(server.finish() == 0, "\(server.output)")
    #expect(
      worker.output.contains("the data set is the cluster's: nothing to download"),
      "\(worker.output)")
    #expect(fc.output.contains("ready: slice 0 of 1"), "\(fc.output)")
    // Each line once.
    let lines = worker.output.split(separator: "\n").map { $0.dropFirst(25) }
    #expect(Set(lines).count == lines.count, "\(worker.output)")
  }

  @Test(arguments: [("server.address", []), ("http.address", ["--http", "127.0.0.1:0"])])
  func `a server that cannot say where it is ends in one line`(file: String, more: [String]) throws
  {
    try FileManager.default.createDirectory(
      atPath: "\(cluster.run)/\(file)/x", withIntermediateDirectories: true)
    let server = try Program(
      [
        "server", cluster.configuration, "--run-dir", cluster.run, "--listen",
        "tcp://127.0.0.1:0",
      ] + more)
    #expect(server.finish() == 1, "\(server.output)")
    let lines = server.output.split(separator: "\n")
    #expect(lines.count == 1, "\(server.output)")
    #expect(lines.last?.contains("cannot write \(cluster.run)/\(file): ") == true)
  }

  @Test func `the server gives the logs of all its nodes, without a secret in them`() throws {
    let server = try Program([
      "server", cluster.configuration, "--secure", "--run-dir", cluster.run, "--listen",
      "tcp://127.0.0.1:0", "--workers", "1", "--fc-nodes", "1", "--set", "steps=1000000",
    ])
    let address = try cluster.address()
    let key = "\(cluster.run)/keys/nodes/node.key"
    let token = try Program.run("token", cluster.run)
    #expect(token.code == 0, "\(token.output)")
    let tokenText = token.output.trimmingCharacters(in: .whitespacesAndNewlines)
    let worker = try Program(["worker", "--join", tokenText])
    let fc = try Program(["fc", "--server", address, "--key-file", key])
    func logs(_ more: String...) throws -> (code: Int32, output: String) {
      let program = try Program(["logs"] + more + ["--server", address])
      return (program.finish(), program.output)
    }
    #expect(
      eventually {
        (try? logs("worker-0", "--key-file", key))?.output.contains("nothing to download") == true
      }, "\(worker.output)")
    let all = try logs("--key-file", key, "-n", "1000")
    #expect(all.code == 0, "\(all.output)")
    for words in [" server info ", " worker 0 info ", " fc 0 info ", "ready: slice 0 of 1"] {
      #expect(all.output.contains(words), "\(words): \(all.output)")
    }
    let stamps = all.output.split(separator: "\n").map { $0.prefix(24) }
    #expect(stamps == stamps.sorted())
    let one = try logs("server", "--key-file", key, "-n", "1")
    #expect(one.output.split(separator: "\n").count == 1, "\(one.output)")

    // No half of a key's secret, nor the token.
    let secrets = try ["keys/server.key", "keys/nodes/node.key"].flatMap {
      try String(contentsOfFile: "\(cluster.run)/\($0)", encoding: .utf8)
        .split(whereSeparator: \.isWhitespace).filter { $0.count >= 40 }
    }
    #expect(!secrets.isEmpty)
    let publicKeys = cluster.scratch.text("run/keys/allowed-keys")
    for secret in secrets where !publicKeys.contains(secret) {
      #expect(!all.output.contains(secret))
    }
    #expect(!all.output.contains(tokenText))

    // Who has no key, or a token only, sees nothing of it.
    let nobody = try logs("server")
    #expect(nobody.code == 1 && !nobody.output.contains(" info "), "\(nobody.output)")
    let guest = try Program.run("logs", "server", "--join", tokenText)
    #expect(guest.code == 2 && guest.output.contains("need a node's key"), "\(guest.output)")
    let missing = try logs("worker-7", "--key-file", key)
    #expect(missing.code == 1 && missing.output.contains("there is no worker 7"))
    let wrong = try logs("worker", "--key-file", key)
    #expect(wrong.code == 2 && wrong.output.contains("is no node"), "\(wrong.output)")
    let doctor = try Program.run(
      "doctor", cluster.configuration, "--server", address, "--key-file", key)
    for words in ["fc 0  ", "server's clock  the same", "data agrees", "it is the cluster's"] {
      #expect(doctor.output.contains(words), "\(words): \(doctor.output)")
    }
    let nodes = try Program.run("nodes", "--server", address, "--key-file", key)
    #expect(nodes.code == 0 && nodes.output.contains("worker 0"), "\(nodes.output)")
    let stop = try Program.run("stop", "--server", address, "--key-file", key)
    #expect(stop.code == 0, "\(stop.output)")
    for program in [worker, fc, server] { #expect(program.finish() == 0, "\(program.output)") }
  }
}
