import Foundation
import Nodes
import Testing

@testable import crosscut

/// `crosscut doctor`, on this machine and against servers that are there and not.
@Suite(.timeLimit(.minutes(10)))
struct DoctorTests {
  @Test func `this machine can run a node, and the data set of a preset is found`() throws {
    let (code, text) = try Program.run("doctor", "fashion")
    #expect(code == 0, "\(text)")
    for name in ["cores", "memory", "instructions", "ZeroMQ", "oneDNN", "clock", "data set"] {
      #expect(text.contains("  \(name) "), "\(name): \(text)")
    }
    #expect(text.contains("60000 training and 10000 test examples"), "\(text)")
  }

  @Test func `a server is asked, with round trip and bandwidth, plain and encrypted`() throws {
    for secure in [false, true] {
      let scratch = try Scratch()
      let server = try Program(
        ["server", "lenet5", "--listen", "tcp://127.0.0.1:0", "--run-dir", scratch.path]
          + (secure ? ["--secure"] : []))
      #expect(eventually(seconds: 20) { !scratch.address.isEmpty })
      let key = secure ? ["--key-file", "\(scratch.path)/keys/nodes/node.key"] : []
      let doctor = try Program(["doctor", "--server", scratch.address] + key)
      #expect(doctor.finish(seconds: 15) == 0, "\(doctor.output)")
      for words in ["answers: run", "round trip", "MB/s", secure ? "CURVE; the key" : "none"] {
        #expect(doctor.output.contains(words), "\(words): \(doctor.output)")
      }
      server.send(SIGTERM)
      server.finish()
    }
  }

  @Test func `what is bad has advice and ends with 1, as JSON too`() throws {
    let doctor = try Program(["doctor", "--json", "--server", "tcp://127.0.0.1:1"])
    #expect(doctor.finish(seconds: 15) == 1)
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(doctor.output.utf8)) as? [String: Any])
    let findings = try #require(object["findings"] as? [[String: String]])
    let bad = findings.filter { $0["state"] == "bad" }
    #expect(bad.map { $0["name"] } == ["server"])
    #expect(bad.first?["advice"]?.isEmpty == false)
    #expect(bad.first?["text"]?.contains("no server answers") == true)
  }

  @Test func `each finding has a mark, and what to do below it`() {
    let text = DoctorCommand.text([
      Finding("cores", .good, "2"), Finding("clock", .warning, "off", advice: "set it"),
    ])
    #expect(text == "ok    cores  2\nnote  clock  off\n      set it\n")
  }
}
