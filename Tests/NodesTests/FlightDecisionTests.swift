import Coordination
import Foundation
import Messages
import Observability
import Tensors
import Testing
import Training
import Transport
import Wire

@testable import Nodes

/// What a flight recorder keeps is what the core has decided, whatever became of it on its way.
@Suite(.timeLimit(.minutes(10)))
struct FlightDecisionTests {
  private let directory: RunDirectory
  private let log = Logger(descriptor: 2, name: "test", level: .error)

  init() throws {
    directory = try RunDirectory(NSTemporaryDirectory() + "crosscut-flight-\(UUID().uuidString)")
  }

  /// The one ring in the run's folder.
  private func ring() throws -> FlightRing {
    let names = try FileManager.default.contentsOfDirectory(atPath: directory.flight)
    try #require(names.count == 1)
    return try FlightRing(path: "\(directory.flight)/\(names[0])")
  }

  private func sent(_ ring: FlightRing) -> [String] {
    ring.records.filter { $0.kind == .sent }
      .compactMap { FlightMessage.decode($0).flatMap(FlightMessage.decision) }
  }

  private let header = Header(run: 7, view: 1, sender: NodeID(1), incarnation: 9)

  @Test func `what a member had for somebody who is gone is noted`() throws {
    defer { try? FileManager.default.removeItem(atPath: directory.path) }
    let context = try Context()
    defer { context.terminate() }
    let hub = try Hub(context: context, listen: "inproc://server")
    defer { hub.close(lingerMilliseconds: 0) }
    let options = MemberOptions(role: .worker, server: "inproc://server")
    let session = try MemberSession(
      context: context, options: options, log: log,
      recorder: FlightRecorder.open(in: directory.flight, role: .worker, log: log))
    defer { session.hub.close(lingerMilliseconds: 0) }
    #expect(session.routes[NodeID(4)] == nil)
    session.carryOut([
      .send(Message(header, .collect(Collect(transfer: 3, turn: 5))), .member(NodeID(4))),
      .send(Message(header, .goodbye), .server),
    ])
    let ring = try ring()
    #expect(sent(ring) == ["collect 3 before turn 5", "goodbye"])
    #expect(
      ring.records.filter { $0.kind == .note }.map(\.text) == ["no connection to \(NodeID(4))"])
  }

  @Test func `parameters that go the second way, since the first is closed, are noted once`() throws
  {
    defer { try? FileManager.default.removeItem(atPath: directory.path) }
    let context = try Context()
    defer { context.terminate() }
    let server = try ServerNode(
      context: context, run: RunContext(TinyRun.configuration()),
      options: ServerOptions(listen: "inproc://server", runDirectory: directory), log: log,
      commands: Mailbox<String>())
    defer { server.abandon() }
    let worker = try Hub(context: context, listen: nil)
    defer { worker.close(lingerMilliseconds: 0) }
    let link = try worker.dial("inproc://server")
    #expect(worker.send(try WireCodec.encode(Message(header, .goodbye)), to: link))
    var control: Hub.Link?
    for _ in 0..<60 where control == nil {
      _ = try server.hub.wait(milliseconds: 1000, wakeUp: nil)
      control = try server.hub.receive()?.0
    }
    let way = try #require(control)
    server.controlLinks[NodeID(1)] = way
    // Of no connection that there is.
    server.bulkLinks[NodeID(1)] = .accepted([0, 1, 2, 3, 4])
    let own = Header(run: 7, view: 1, sender: .server, incarnation: 9)
    let parameters = Parameters(version: 6, chunk: 0)
    server.carryOut([
      .send(
        Message(own, .parameters(parameters), frames: [FlightMessage.zero()]), to: NodeID(1))
    ])
    #expect(server.bulkLinks[NodeID(1)] == nil)
    var came: [Message] = []
    for _ in 0..<60 where came.isEmpty {
      _ = try worker.wait(milliseconds: 1000, wakeUp: nil)
      if let (_, parts) = try worker.receive() { came.append(try WireCodec.decode(parts)) }
    }
    #expect(came.map(\.body) == [.parameters(parameters)])
    #expect(sent(try ring()) == ["parameters after 6 steps, chunk 0"])
  }
}
