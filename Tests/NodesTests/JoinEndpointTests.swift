import Messages
import Testing

@testable import Nodes

/// What a node may have all others dial.
@Suite struct JoinEndpointTests {
  private func objection(_ endpoint: String, _ role: Role = .fc, isLocal: Bool) -> String? {
    JoinEndpoint.objection(
      to: Join(
        role: role, host: "h", processID: 1, softwareVersion: "1", endpoint: endpoint,
        preferredRank: -1), isLocal: isLocal)
  }

  @Test(arguments: [
    "tcp://10.0.0.3:41873", "tcp://gpu-1.lab_net:5", "tcp://[::1]:65535", "tcp://[fe80::1%eth0]:1",
  ])
  func `a host and a port can be dialed`(endpoint: String) {
    #expect(objection(endpoint, isLocal: false) == nil)
    #expect(objection(endpoint, .shard, isLocal: true) == nil)
  }

  @Test(arguments: [
    "", "tcp://", "tcp://h", "tcp://h:", "tcp://h:0", "tcp://h:65536", "tcp://h:+5", "tcp://:5",
    "tcp://*:5", "tcp://[]:5", "tcp://::1:5", "tcp://a b:5", "tcp://h;lo:1", "udp://h:5",
    "ipc:///run/x", "inproc://zeromq.zap.01", "tcp://h:5/x", "tcp://h\u{1B}[2J:5",
  ])
  func `nothing else, from another machine`(endpoint: String) {
    #expect(objection(endpoint, isLocal: false)?.contains("expected tcp://host:port") == true)
    // Nobody dials a worker.
    #expect(objection(endpoint, .worker, isLocal: false) == nil)
  }

  @Test func `on the server's machine its paths are known`() {
    for endpoint in ["ipc:///tmp/fc-0", "inproc://fc-0"] {
      #expect(objection(endpoint, isLocal: true) == nil)
    }
  }
}
