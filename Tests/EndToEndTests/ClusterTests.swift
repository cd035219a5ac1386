import Foundation
import Observability
import Testing
import Training

/// Real clusters of real processes over tcp, as users start and end them.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct ClusterTests {
  private let cluster: TinyCluster
  private var scratch: Scratch { cluster.scratch }
  private var configuration: String { cluster.configuration }
  private var run: String { cluster.run }

  init() throws { cluster = try TinyCluster() }

  private func train(_ more: String...) throws -> Program { try cluster.train(more) }
  private func address() throws -> String { try cluster.address() }
  private func reach(step: UInt64, at server: String) throws -> StatusRecord {
    try cluster.reach(step: step, at: server)
  }
  private func expectNoOrphans(_ server: String) { cluster.expectNoOrphans(server) }

  @Test(arguments: [[], ["--in-process"]])
  func `train runs to the end and leaves a whole run directory`(more: [String]) throws {
    let program = try Program(
      ["train", configuration, "--run-dir", run, "--listen", "tcp://127.0.0.1:0"] + more)
    #expect(program.finish() == 0, "\(program.output)")
    #expect(program.output.contains("done: 60 of 60 steps"), "\(program.output)")
    #expect(program.output.contains("test accuracy: "), "\(program.output)")
    #expect(!program.output.contains("\u{1B}["), "escape sequences in a pipe")
    for name in ["config.json", "metrics.jsonl", "model.safetensors", "summary.json"] {
      #expect(FileManager.default.fileExists(atPath: "\(run)/\(name)"), "\(name) is missing")
    }
    let logs = try FileManager.default.contentsOfDirectory(atPath: run).filter {
      $0.hasSuffix(".log")
    }
    #expect(
      logs.sorted() == ["fc-0.log", "fc-1.log", "server.log", "worker-0.log", "worker-1.log"])
    let lines = try String(contentsOfFile: "\(run)/metrics.jsonl", encoding: .utf8)
      .split(separator: "\n")
    #expect(lines.count(where: { $0.contains("\"evaluation\"") }) == 2, "\(lines)")
    #expect(lines.contains { $0.contains("\"training\"") && $0.contains("\"step\":60") })
  }

  @Test func `fc nodes beside workers give the bits of fc nodes by themselves`() throws {
    let apart = "\(scratch.path)/apart"
    let first = try cluster.train(runDirectory: apart)
    #expect(first.finish() == 0, "\(first.output)")
    let program = try train("--layout", "beside")
    #expect(program.finish() == 0, "\(program.output)")
    let logs = try FileManager.default.contentsOfDirectory(atPath: run).filter {
      $0.hasSuffix(".log")
    }
    #expect(logs.sorted() == ["server.log", "worker-0.log", "worker-1.log"])
    let expected = try SafeTensorsReader(path: "\(apart)/model.safetensors")
    let found = try SafeTensorsReader(path: "\(run)/model.safetensors")
    #expect(found.names == expected.names)
    for name in expected.names {
      #expect(try found.tensor(named: name).values == expected.tensor(named: name).values)
    }
  }

  @Test func `the status tells of every node while training`() throws {
    let program = try train("--set", "steps=100000")
    let server = try address()
    let record = try reach(step: 20, at: server)
    #expect(record.state == .running || record.state == .evaluating)
    #expect(record.totalSteps == 100_000)
    #expect(record.view == 1)
    #expect(record.nodes.map { "\($0.name)" } == ["worker 0", "worker 1", "fc 0", "fc 1"])
    for node in record.nodes {
      #expect(node.state != .joined && node.state != .gone, "\(node)")
      #expect(node.bytesSent > 0 && node.bytesReceived > 0 && node.residentBytes > 0)
    }
    #expect((record.loss ?? 0) > 0)
    #expect((record.imagesPerSecond ?? 0) > 0)
    let (code, why) = try Program.run(["status", "--server", server, "--why"]) { code, _ in
      code == 0
    }
    #expect(code == 0, "\(why)")
    #expect(why.contains("root cause"), "\(why)")
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    expectNoOrphans(server)
  }

  @Test(arguments: [SIGINT, SIGTERM, SIGHUP])
  func `a signal ends the cluster in order and saves the model`(signal: Int32) throws {
    let program = try train("--set", "steps=100000")
    let server = try address()
    _ = try reach(step: 5, at: server)
    program.send(signal)
    #expect(program.finish() == 0, "\(program.output)")
    #expect(program.output.contains("stopped: "), "\(program.output)")
    #expect(FileManager.default.fileExists(atPath: "\(run)/model.safetensors"))
    expectNoOrphans(server)
  }

  @Test func `a signal before anything has started ends it too`() throws {
    let program = try train("--set", "steps=100000")
    #expect(eventually { program.output.contains("run directory") })
    program.send(SIGINT)
    program.finish()
    let server = (try? address()) ?? "none"
    expectNoOrphans(server)
  }

  @Test func `children of a killed parent leave by themselves`() throws {
    let program = try train("--set", "steps=100000")
    let server = try address()
    _ = try reach(step: 5, at: server)
    program.send(SIGKILL)
    program.finish()
    expectNoOrphans(server)
  }

  @Test func `a killed worker costs nothing but its share, and is started again`() throws {
    let program = try train("--set", "steps=100000")
    let server = try address()
    let before = try reach(step: 20, at: server)
    let worker = try #require(before.nodes.first { "\($0.name)" == "worker 1" })
    kill(worker.processID, SIGKILL)
    #expect(
      eventually { scratch.text("run/server.log").contains("view 2: worker 0;") })
    let isBack = eventually {
      scratch.text("run/server.log").contains("view 3: worker 0, worker 1;")
    }
    #expect(isBack, "\(scratch.text("run/server.log"))")
    let after = try reach(step: before.step + 40, at: server)
    #expect(after.nodes.map { "\($0.name)" } == ["worker 0", "worker 1", "fc 0", "fc 1"])
    program.send(SIGINT)
    #expect(program.finish() == 0, "\(program.output)")
    #expect(program.output.contains("was killed by signal 9"), "\(program.output)")
    let log = try String(contentsOfFile: "\(run)/server.log", encoding: .utf8)
    #expect(log.contains("worker 1 is gone"), "\(log)")
    expectNoOrphans(server)
  }

  @Test func `a death and a late joiner leave the parameters as they would have been`() throws {
    // A small rate, so that sums in another order are not blown up over the steps.
    let gentle = ["--set", "steps=2500", "--set", "optimizer.learningRate=0.0005"]
    let undisturbed = "\(scratch.path)/undisturbed"
    let reference = try Program(
      ["train", configuration, "--run-dir", undisturbed, "--listen", "tcp://127.0.0.1:0"] + gentle)
    #expect(reference.finish() == 0, "\(reference.output)")

    try cluster.inTime {
      let program = try cluster.train(gentle)
      let server = try address()
      let before = try cluster.catchUp(step: 50, at: server, while: program)
      let worker = try #require(before.nodes.first { "\($0.name)" == "worker 1" })
      kill(worker.processID, SIGKILL)
      let late = try Program(["worker", "--server", server])
      var log: String { scratch.text("run/server.log") }
      func hasAll() -> Bool { log.contains(": worker 0, worker 1, worker 2;") }
      #expect(eventually { hasAll() || !program.isRunning }, "\(log)")
      // Two processes had to start before the run was over.
      guard hasAll() else { throw TinyCluster.TooLate() }
      #expect(log.contains("view 2: worker 0;"), "\(log)")
      #expect(program.finish() == 0, "\(program.output)")
      #expect(late.finish() == 0, "\(late.output)")
    }
    let audit = try Program.run("audit", run)
    #expect(audit.code == 0, "\(audit.output)")

    let expected = try SafeTensorsReader(path: "\(undisturbed)/model.safetensors")
    let found = try SafeTensorsReader(path: "\(run)/model.safetensors")
    #expect(found.names == expected.names)
    for name in expected.names {
      let pair = zip(
        try expected.tensor(named: name).values, try found.tensor(named: name).values)
      let difference = pair.map { abs($0 - $1) }.max() ?? 0
      #expect(difference < 1e-5, "\(name) differs by \(difference)")
    }
  }

  @Test func `a cluster started by hand, a late worker, and noise on the port`() throws {
    let server = try Program([
      "server", configuration, "--workers", "1", "--fc-nodes", "1", "--run-dir", run, "--listen",
      "tcp://127.0.0.1:0", "--set", "steps=100000",
    ])
    let endpoint = try address()
    let worker = try Program(["worker", "--server", endpoint])
    let fc = try Program(["fc", "--server", endpoint, "--listen", "tcp://127.0.0.1:0"])
    _ = try reach(step: 10, at: endpoint)
    shout("GET / HTTP/1.1\r\nHost: x\r\n\r\n", at: endpoint)
    shout(String(repeating: "\u{0}\u{7F}garbage", count: 1000), at: endpoint)
    let late = try Program(["worker", "--server", endpoint])
    #expect(eventually { server.output.contains("view 2: worker 0, worker 1") })
    let record = try reach(step: 20, at: endpoint)
    _ = try reach(step: record.step + 20, at: endpoint)
    server.send(SIGTERM)
    #expect(server.finish() == 0, "\(server.output)")
    for program in [worker, fc, late] { #expect(program.finish() == 0) }
    let summary = try String(contentsOfFile: "\(run)/summary.json", encoding: .utf8)
    #expect(try StatusRecord.decode(Array(summary.utf8)).step >= record.step + 20)
  }

  @Test func `members that are there before their server train with it`() throws {
    let endpoint = "ipc://\(scratch.path)/server"
    var members: [Program] = []
    for role in ["worker", "fc", "fc", "worker"] {
      members.append(try Program([role, "--server", endpoint]))
    }
    for member in members {
      #expect(eventually { member.output.contains("looking for the server") })
    }
    let server = try Program([
      "server", configuration, "--run-dir", run, "--listen", endpoint, "--set", "steps=1",
    ])
    #expect(server.finish() == 0, "\(server.output)")
    for member in members { #expect(member.finish() == 0, "\(member.output)") }
    let summary = try String(contentsOfFile: "\(run)/summary.json", encoding: .utf8)
    #expect(try StatusRecord.decode(Array(summary.utf8)).step == 1)
  }

  /// Connects a raw socket to a tcp endpoint and says something that is not ZeroMQ.
  private func shout(_ text: String, at endpoint: String) {
    guard let port = endpoint.split(separator: ":").last.flatMap({ UInt16($0) }) else { return }
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let connected = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    #expect(connected == 0)
    #expect(Array(text.utf8).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } > 0)
  }
}
