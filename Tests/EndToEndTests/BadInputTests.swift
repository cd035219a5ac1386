import Foundation
import Messages
import Nodes
import Tensors
import Testing
import Transport
import Wire

/// What an operator gets wrong: each is a line that says what, where and what to do.
@Suite(.timeLimit(.minutes(30)))
struct BadInputTests {
  private let scratch: Scratch

  init() throws { scratch = try Scratch() }

  /// A server that waits for nodes, and its address.
  private func server() throws -> (Program, String) {
    let program = try Program(
      ["server", "lenet5", "--run-dir", scratch.path, "--listen", "tcp://127.0.0.1:0"]
        + Player.mayBeSilent)
    #expect(eventually { !scratch.address.isEmpty }, "\(program.output)")
    return (program, scratch.address)
  }

  private func expectOneLine(
    _ program: Program, code: Int32, _ words: [String],
    _ location: SourceLocation = #_sourceLocation
  ) {
    #expect(program.finish() == code, "\(program.output)", sourceLocation: location)
    let lines = program.output.split(separator: "\n").filter { $0.hasPrefix("crosscut") }
    #expect(lines.count == 1, "\(program.output)", sourceLocation: location)
    for word in words {
      #expect(lines.first?.contains(word) == true, "\(word): \(lines)", sourceLocation: location)
    }
  }

  @Test func `more workers than a run may have can be planned, not begun`() throws {
    for command in ["train", "server"] {
      let program = try Program([
        command, "lenet5", "--workers", "600", "--set", "globalBatch=600", "--run-dir",
        "\(scratch.path)/run",
      ])
      expectOneLine(
        program, code: 2, ["cluster.workers: a run has at most 512 workers, not 600"])
    }
    let plan = try Program([
      "plan", "lenet5", "--workers", "600", "--set", "globalBatch=600", "--flops", "1e11",
    ])
    #expect(plan.finish() == 0, "\(plan.output)")
  }

  @Test func `a port that is taken is named, and what to do`() throws {
    let (server, address) = try server()
    let second = try Program([
      "server", "lenet5", "--run-dir", "\(scratch.path)/other", "--listen", address,
    ])
    expectOneLine(second, code: 1, [address, "in use", "choose another port, or 0"])
    server.send(SIGTERM)
    server.finish()
  }

  @Test(arguments: ["server", "worker"])
  func `an ipc path that no socket can have is refused before anything is opened`(
    command: String
  ) throws {
    let path = "\(scratch.path)/" + String(repeating: "x", count: 108 - scratch.path.utf8.count)
    let words =
      command == "server"
      ? ["lenet5", "--run-dir", "\(scratch.path)/run", "--listen", "ipc://\(path)"]
      : ["--server", "ipc://\(path)"]
    expectOneLine(
      try Program([command] + words), code: 2,
      ["ipc://\(path)", "its path has 109 bytes, a socket's at most 107", "shorter"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path).isEmpty)
  }

  @Test func `a server that cannot be reached is looked for as long as one likes`() throws {
    for role in ["worker", "fc"] {
      let program = try Program([role, "--server", "tcp://127.0.0.1:1", "--join-timeout", "1"])
      expectOneLine(
        program, code: 1,
        ["no server answered at tcp://127.0.0.1:1 for 1 s", "is it running", "address right?"])
    }
  }

  @Test(arguments: ["garbage", "crosscut-join-1.dGNw.AAAA.BBBB"])
  func `a token that is none, or a part of one, is refused before anything is dialed`(
    token: String
  ) throws {
    expectOneLine(
      try Program(["worker", "--join", token]), code: 2,
      ["no token, or not all of it", "crosscut token prints one"])
  }

  @Test func `a data set that cannot be read is named with the reason`() throws {
    let file = "\(scratch.path)/train-images-idx3-ubyte"
    // A folder in its place: what not even root can read.
    try FileManager.default.createDirectory(atPath: file, withIntermediateDirectories: true)
    for name in ["train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"] {
      try "".write(toFile: "\(scratch.path)/\(name)", atomically: true, encoding: .utf8)
    }
    let program = try Program([
      "train", "lenet5", "--set", "dataset.path=\(scratch.path)", "--run-dir",
      "\(scratch.path)/run", "--listen", "tcp://127.0.0.1:0",
    ])
    expectOneLine(program, code: 1, [file, "is not a regular file"])
  }

  // MARK: Strangers

  @Test func `who sends nonsense is named by its membership, a stranger by its address`() throws {
    let (server, address) = try server()
    let context = try Context()
    defer { context.terminate() }
    let hub = try Hub(context: context, listen: nil)
    defer { hub.close(lingerMilliseconds: 0) }
    let (control, bulk) = (try hub.dial(address), try hub.dial(address))
    let join = Join(
      role: .worker, host: "here", processID: 1, softwareVersion: Version.text, endpoint: "",
      preferredRank: -1)
    let header = Header(run: 0, view: 0, sender: NodeID(0), incarnation: 7)
    #expect(hub.send(try WireCodec.encode(Message(header, .join(join))), to: control))
    func waits(for condition: () -> Bool) -> Bool {
      eventually {
        _ = try? hub.wait(milliseconds: 20, wakeUp: nil)
        _ = hub.takeEvents()
        return condition()
      }
    }
    #expect(
      waits {
        guard let (_, parts) = try? hub.receive(), let message = try? WireCodec.decode(parts),
          case .welcome = message.body
        else { return false }
        return true
      }, "\(server.output)")
    // Nothing has come over this connection that says whose it is.
    let nonsense = [Frame(copying: Array("nonsense".utf8))]
    #expect(hub.send(nonsense, to: bulk))
    #expect(
      waits { server.output.contains("worker 0 is gone: it breaks the protocol: ") },
      "\(server.output)")
    let stranger = try Hub(context: context, listen: nil)
    defer { stranger.close(lingerMilliseconds: 0) }
    #expect(stranger.send(nonsense, to: try stranger.dial(address)))
    func complaints() -> Int {
      server.output.split(separator: "\n").count {
        $0.contains("refused a message from 127.0.0.1: ")
      }
    }
    #expect(
      eventually {
        _ = try? stranger.wait(milliseconds: 20, wakeUp: nil)
        return complaints() == 2
      }, "\(server.output)")
    server.send(SIGTERM)
    server.finish()
  }

  @Test func `who asks and does not read the answers is named and hung up on`() throws {
    let (server, address) = try server()
    func peakKiB() throws -> Int {
      let status = try String(contentsOfFile: "/proc/\(server.processID)/status", encoding: .utf8)
      return try #require((try /VmHWM:\s+(\d+)/.firstMatch(in: status)).flatMap { Int($0.1) })
    }
    let before = try peakKiB()
    let context = try Context()
    defer { context.terminate() }
    let hub = try Hub(context: context, listen: nil)
    defer { hub.close(lingerMilliseconds: 0) }
    let link = try hub.dial(address)
    let header = Header(run: 0, view: 0, sender: NodeID(0), incarnation: 7)
    let question = try WireCodec.encode(Message(header, .statusRequest))
    var asked = 0
    // Far more than may be kept: what the systems' buffers hold is not known.
    #expect(
      eventually {
        _ = try? hub.wait(milliseconds: 0, wakeUp: nil)
        for _ in 0..<200 where hub.queuedBytes == 0 && hub.send(question, to: link) { asked += 1 }
        return server.output.contains("hung up on 127.0.0.1: it asks and does not read")
      }, "\(asked) questions, \(server.output)")
    // A mebibyte of answers, what ZeroMQ holds, and what the machine takes for itself.
    let grown = try peakKiB() - before
    #expect(grown < 32 << 10, "\(grown) KiB more after \(asked) questions")
    // Others are answered.
    let status = try Program.run(["status", "--server", address]) { code, _ in code == 0 }
    #expect(status.code == 0, "\(status.output)")
    server.send(SIGTERM)
    server.finish()
  }

  @Test func `a node of another run at this address is told so, and may join this one`() throws {
    let (server, address) = try server()
    let beat = Heartbeat(
      ready: true, dataset: nil, turn: 7, phase: "conv forward", millisecondsSinceProgress: 3,
      telemetry: Telemetry(), waits: [])
    let header = Header(run: 9, view: 4, sender: NodeID(1), incarnation: 7)
    let refusal = try refusal(address, to: WireCodec.encode(Message(header, .heartbeat(beat))))
    #expect(refusal.mayJoinAgain)
    #expect(refusal.reason.hasPrefix("the server here runs "), "\(refusal)")
    #expect(refusal.reason.hasSuffix(", not its run"), "\(refusal)")
    #expect(eventually { server.output.contains("which is not this one") }, "\(server.output)")
    server.send(SIGTERM)
    server.finish()
  }

  @Test(arguments: ["status", "health"])
  func `a port where something else answers is told from a server that is away`(
    command: String
  ) throws {
    let server = try Program([
      "server", "lenet5", "--run-dir", scratch.path, "--listen", "tcp://127.0.0.1:0", "--http",
      "127.0.0.1:0",
    ])
    #expect(eventually { !scratch.address.isEmpty }, "\(server.output)")
    let page = try #require(scratch.text("http.address").firstMatch(of: /127\.0\.0\.1:\d+/)?.0)
    let words = [
      "somebody at tcp://\(page) takes the connection, but does not answer as a crosscut server",
      "is the port right, or does the server hang?",
    ]
    let (code, output) = try Program.run([command, "--server", "tcp://\(page)"]) { _, output in
      output.contains(words[0])
    }
    #expect(code == 1, "\(output)")
    for word in words { #expect(output.contains(word), "\(output)") }
    #expect(output.split(separator: "\n").count == 1, "\(output)")
    server.send(SIGTERM)
    server.finish()
  }

  // MARK: Versions

  /// Says something to a server and gives its refusal.
  private func refusal(_ address: String, to parts: [Frame]) throws -> Refusal {
    let context = try Context()
    defer { context.terminate() }
    let hub = try Hub(context: context, listen: nil)
    defer { hub.close(lingerMilliseconds: 0) }
    let link = try hub.dial(address)
    #expect(hub.send(parts, to: link))
    var heard: Refusal?
    _ = eventually {
      _ = try? hub.wait(milliseconds: 20, wakeUp: nil)
      _ = hub.takeEvents()
      guard let answer = try? hub.receive(), let message = try? WireCodec.decode(answer.1),
        case .refusal(let refusal) = message.body
      else { return false }
      heard = refusal
      return true
    }
    return try #require(heard)
  }

  @Test func `a node of another version is refused, and told which the server is`() throws {
    let (server, address) = try server()
    let join = Join(
      role: .worker, host: "old", processID: 1, softwareVersion: "0.0.9", endpoint: "",
      preferredRank: -1)
    let header = Header(run: 0, view: 0, sender: NodeID(0), incarnation: 7)
    let parts = try WireCodec.encode(Message(header, .join(join)))
    let software = try refusal(address, to: parts).reason
    #expect(software.contains("crosscut 0.0.9, the server is \(Version.text)"), "\(software)")
    #expect(software.contains("same version"))
    // The first field of every header is the protocol's version.
    var bytes = Array(parts[0].bytes)
    #expect(bytes[0] == 0x08 && bytes[1] == UInt8(Limits.protocolVersion))
    bytes[1] += 1
    let protocols = try refusal(address, to: [Frame(copying: bytes)]).reason
    #expect(
      protocols.contains("version 2 of the protocol, this crosscut version 1"), "\(protocols)")
    server.send(SIGTERM)
    server.finish()
  }

  @Test func `a node that a server refuses ends with the server's reason`() throws {
    let context = try Context()
    defer { context.terminate() }
    let hub = try Hub(context: context, listen: "tcp://127.0.0.1:0")
    defer { hub.close(lingerMilliseconds: 0) }
    let worker = try Program(["worker", "--server", try #require(hub.boundEndpoint)])
    let header = Header(run: 5, view: 0, sender: .server, incarnation: 6)
    let refusal = Message(
      header,
      .refusal(Refusal(reason: "it is crosscut 0.1.0, the server is 9.9.9", mayJoinAgain: false)))
    let answer = try WireCodec.encode(refusal)
    #expect(
      eventually {
        _ = try? hub.wait(milliseconds: 20, wakeUp: nil)
        _ = hub.takeEvents()
        guard let (link, _) = try? hub.receive() else { return false }
        return hub.send(answer, to: link)
      })
    #expect(
      eventually {
        _ = try? hub.wait(milliseconds: 20, wakeUp: nil)
        return !worker.isRunning
      })
    expectOneLine(
      worker, code: 1, ["the server refused this worker: it is crosscut 0.1.0, the server is 9.9.9"]
    )
  }
}
