import Foundation
import Observability
import Testing
import Training

/// Processes that are told to go, one by one.
@Suite(.timeLimit(.minutes(30)))
struct LeavingTests {
  private let cluster: TinyCluster

  init() throws { cluster = try TinyCluster() }

  /// A server by hand for one worker and one FC node, the two, and its address.
  private func start(
    _ more: [String] = []
  ) throws -> (server: Program, members: [Program], address: String) {
    let server = try Program(
      [
        "server", cluster.configuration, "--run-dir", cluster.run, "--listen",
        "tcp://127.0.0.1:0", "--workers", "1", "--fc-nodes", "1", "--set", "steps=1000000",
      ] + more)
    let address = try cluster.address()
    return (server, try ["worker", "fc"].map { try Program([$0, "--server", address]) }, address)
  }

  @Test func `a worker that gets SIGTERM is gone within its grace, and the run goes on`() throws {
    let (server, members, address) = try start()
    _ = try cluster.reach(step: 5, at: address)
    // What `docker stop` gives it before it kills.
    let grace = 10.0
    var shortest = Double.infinity
    for time in 1...5 where shortest > grace {
      let worker = try Program(["worker", "--server", address])
      #expect(
        eventually { worker.output.contains("view \(2 * time): 2 workers, 1 fc nodes") },
        "\(worker.output)")
      let start = Date()
      worker.send(SIGTERM)
      #expect(worker.finish() == 0, "\(worker.output)")
      shortest = min(shortest, Date().timeIntervalSince(start))
      #expect(worker.output.contains("leaving: SIGTERM"), "\(worker.output)")
      #expect(worker.output.contains("interrupted: left the run"), "\(worker.output)")
    }
    #expect(shortest < grace)
    #expect(server.output.contains("worker 1 leaves: SIGTERM"), "\(server.output)")
    let then = try cluster.reach(step: 1, at: address).step
    _ = try cluster.reach(step: then + 20, at: address)
    server.send(SIGTERM)
    #expect(server.finish() == 0, "\(server.output)")
    for member in members { #expect(member.finish() == 0, "\(member.output)") }
    let audit = try Program.run("audit", cluster.run)
    #expect(audit.code == 0, "\(audit.output)")
  }

  @Test func `a node whose server is gone for good looks for it anew, and then ends`() throws {
    let (server, members, address) = try start()
    let late = try Program(["worker", "--server", address, "--join-timeout", "1"])
    #expect(eventually { late.output.contains(": 2 workers, 1 fc nodes") }, "\(late.output)")
    server.send(SIGKILL)
    server.finish()
    #expect(late.finish() == 1, "\(late.output)")
    for words in [
      "lost the connection to the server, trying again", "has been gone for 10 s",
      "no server answered at \(address) for 1 s",
    ] { #expect(late.output.contains(words), "\(words): \(late.output)") }
    for member in members {
      member.send(SIGKILL)
      member.finish()
    }
  }

  @Test func `a second signal ends a server at once, in the middle of what it writes`() throws {
    // A model that no pipe holds.
    let (server, members, address) = try start([
      "--set", "network.layers[3].units=1024", "--set", "checkpoint.everySteps=10",
    ])
    _ = try cluster.reach(step: 20, at: address)
    // Who writes to a pipe that nobody reads waits for ever, as for a disk that does not answer.
    let model = "\(cluster.run)/model.safetensors"
    try #require(mkfifo("\(model).partial", 0o600) == 0)
    let pipe = open("\(model).partial", O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    try #require(pipe >= 0)
    defer { close(pipe) }
    server.send(SIGTERM)
    #expect(
      eventually {
        var entry = pollfd(fd: pipe, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 20) > 0 && entry.revents & Int16(POLLIN) != 0
      }, "\(server.output)")
    #expect(server.isRunning)
    // One that follows at once is the first one's echo.
    #expect(
      eventually {
        server.send(SIGTERM)
        poll(nil, 0, 100)
        return !server.isRunning
      }, "\(server.output)")
    #expect(server.finish() == 1, "\(server.output)")
    #expect(
      server.output.contains("SIGTERM again: ended at once, nothing more was saved"),
      "\(server.output)")
    #expect(!FileManager.default.fileExists(atPath: model))
    let checkpoints = CheckpointStore(directory: "\(cluster.run)/checkpoints", keep: 1).list()
    #expect(!checkpoints.isEmpty)
    for checkpoint in checkpoints { _ = try Checkpoint(path: checkpoint.path) }
    for member in members {
      member.send(SIGKILL)
      member.finish()
    }
  }
}
