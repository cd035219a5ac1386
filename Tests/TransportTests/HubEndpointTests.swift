import Glibc
import Tensors
import Testing

@testable import Transport

@Suite(.timeLimit(.minutes(30))) struct HubEndpointTests {
  @Test func `the system picks a port`() throws {
    let network = try Network()
    for endpoint in ["tcp://127.0.0.1:0", "tcp://127.0.0.1:*", "tcp://*:0"] {
      let hub = try Hub(context: network.context, listen: endpoint)
      let port = hub.boundEndpoint?.split(separator: ":").last.flatMap { UInt16($0) }
      #expect(try #require(port) > 0)
    }
    #expect(try network.client().boundEndpoint == nil)
  }

  @Test func `a port in use is refused by name`() throws {
    let network = try Network()
    let first = try network.server(.tcp)
    let endpoint = try #require(first.boundEndpoint)
    let error = #expect(throws: TransportError.self) {
      try Hub(context: network.context, listen: endpoint)
    }
    #expect(error?.code == EADDRINUSE)
    #expect(
      error?.description
        == "zmq_bind \(endpoint): Address already in use (another program listens there: choose"
        + " another port, or 0 for a free one)")
  }

  @Test(arguments: [
    "", "nonsense", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "tcp://127.0.0.1:-1",
    "tcp://h:http", "udp://127.0.0.1:5",
    "http://localhost:80", "ipc://", "inproc://", "tcp://192.0.2.1:5555",
    "ipc:///nonexistent/socket", "ipc:///tmp/" + String(repeating: "x", count: 120),
  ])
  func `an endpoint that cannot work is refused`(endpoint: String) throws {
    let context = try Context()
    let error = #expect(throws: TransportError.self) {
      try Hub(context: context, listen: endpoint)
    }
    #expect(error?.text.isEmpty == false)
  }

  @Test(arguments: [
    "", "nonsense", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:0", "http://localhost:80",
  ])
  func `an endpoint that cannot be dialed is refused`(endpoint: String) throws {
    let client = try Network().client()
    #expect(throws: TransportError.self) { try client.dial(endpoint) }
    #expect(client.takeEvents().isEmpty)
  }

  @Test func `an ipc path is refused while its owner lives`() throws {
    let network = try Network()
    let owner = try network.server(.ipc)
    let error = #expect(throws: TransportError.self) { try network.server(.ipc) }
    #expect(error?.code == EADDRINUSE)
    #expect(error?.text == "Address already in use by process \(getpid())")
    // And the owner still hears.
    let client = try network.client()
    let link = try client.dial(#require(owner.boundEndpoint))
    #expect(client.send([text("there?")], to: link))
    var heard = 0
    try pump([owner, client], messages: { _, _, _ in heard += 1 }, until: { heard == 1 })
  }

  @Test func `an ipc path is free again after its owner`() throws {
    let network = try Network()
    for _ in 0..<20 {
      let hub = try network.server(.ipc)
      hub.close(lingerMilliseconds: 0)
      #expect(access(network.ipcPath + ".lock", F_OK) != 0)
    }
  }

  @Test func `an ipc path left by a dead process is taken over`() throws {
    let network = try Network()
    for path in [network.ipcPath, network.ipcPath + ".lock"] {
      let descriptor = open(path, O_CREAT | O_RDWR, 0o600)
      #expect(write(descriptor, "99999\n", 6) == 6)
      Glibc.close(descriptor)
    }
    let (server, client, link) = try network.pair(.ipc)
    #expect(client.send([text("hello")], to: link))
    var heard = 0
    try pump([server, client], messages: { _, _, _ in heard += 1 }, until: { heard == 1 })
  }
}
