import Foundation
import Testing

/// What becomes of a server that strangers leave no descriptor.
@Suite(.timeLimit(.minutes(30)))
struct DescriptorTests {
  /// Connections that say nothing. The server closes each after five seconds; another takes its
  /// place at the next call of `gather`.
  private final class Crowd {
    private let port: UInt16
    private var sockets: [Int32] = []

    init(_ address: String) throws {
      port = try #require(address.split(separator: ":").last.flatMap { UInt16($0) })
    }

    deinit { disperse() }

    func gather(_ count: Int) {
      sockets.removeAll { socket in
        var byte: UInt8 = 0
        guard recv(socket, &byte, 1, Int32(MSG_DONTWAIT)) >= 0 || errno != EAGAIN else {
          return false
        }
        close(socket)
        return true
      }
      while sockets.count < count {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard socket >= 0 else { return }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let code = withUnsafePointer(to: &address) { pointer in
          pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
          }
        }
        guard code == 0 else {
          close(socket)
          return
        }
        sockets.append(socket)
      }
    }

    func disperse() {
      for socket in sockets { close(socket) }
      sockets = []
    }
  }

  @Test func `strangers who leave no descriptor do not stop the training, and are told of`() throws
  {
    let cluster = try TinyCluster()
    let server = try Program(
      [
        "server", cluster.configuration, "--run-dir", cluster.run, "--listen",
        "tcp://127.0.0.1:0", "--set", "steps=1000000", "--set", "checkpoint.everySteps=20",
      ], shell: "ulimit -n 64")
    let address = try cluster.address()
    let nodes = try ["worker", "worker", "fc", "fc"].map { try Program([$0, "--server", address]) }
    _ = try cluster.reach(step: 1, at: address)
    let start = Date()
    let crowd = try Crowd(address)
    func withCrowd(_ condition: () -> Bool) -> Bool {
      eventually {
        crowd.gather(100)
        return condition()
      }
    }
    let reached = /descriptors: 6[345] of at most 64 are in use, nobody new gets in/
    #expect(withCrowd { server.output.contains(reached) }, "\(server.output)")
    let before = cluster.committedSteps
    #expect(withCrowd { cluster.committedSteps >= before + 50 }, "\(server.output)")
    crowd.disperse()
    // Who comes now gets in.
    _ = try cluster.reach(step: before + 50, at: address)
    server.send(SIGTERM)
    #expect(server.finish() == 0, "\(server.output)")
    for node in nodes { #expect(node.finish() == 0, "\(node.output)") }
    #expect(!server.output.contains("is gone"), "\(server.output)")
    // Two at the most a minute: at four fifths, and at the end.
    let complaints = server.output.split(separator: "\n").filter { $0.contains("descriptors:") }
    let minutes = 1 + Int(Date().timeIntervalSince(start) / 60)
    #expect((1...2 * minutes).contains(complaints.count), "\(complaints)")
    let audit = try Program.run("audit", cluster.run)
    #expect(audit.code == 0, "\(audit.output)")
  }

  @Test func `as many descriptors as are allowed are asked for at the start`() throws {
    let cluster = try TinyCluster()
    let server = try Program(
      ["server", cluster.configuration, "--run-dir", cluster.run, "--listen", "tcp://127.0.0.1:0"],
      shell: "ulimit -S -n 100")
    _ = try cluster.address()
    let limits = try String(contentsOfFile: "/proc/\(server.processID)/limits", encoding: .utf8)
    let line = limits.split(separator: "\n").first { $0.hasPrefix("Max open files") }
    let words = try #require(line).split(separator: " ").suffix(3).prefix(2)
    #expect(words.first == words.last && words.first != "100", "\(words)")
    server.send(SIGTERM)
    server.finish()
  }
}
