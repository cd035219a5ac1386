import Foundation
import Messages
import Nodes
import Observability
import Testing
import Transport

@testable import crosscut

/// `crosscut doctor`, on this machine and against servers that are there and not.
@Suite(.timeLimit(.minutes(30)))
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
      #expect(eventually { !scratch.address.isEmpty })
      let key = secure ? ["--key-file", "\(scratch.path)/keys/nodes/node.key"] : []
      let doctor = try Program(["doctor", "--server", scratch.address] + key)
      #expect(doctor.finish() == 0, "\(doctor.output)")
      for words in ["answers: run", "round trip", "MB/s", secure ? "CURVE; the key" : "none"] {
        #expect(doctor.output.contains(words), "\(words): \(doctor.output)")
      }
      server.send(SIGTERM)
      server.finish()
    }
  }

  @Test func `what is bad has advice and ends with 1, as JSON too`() throws {
    let doctor = try Program(["doctor", "--json", "--server", "tcp://127.0.0.1:1"])
    #expect(doctor.finish() == 1)
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(doctor.output.utf8)) as? [String: Any])
    let findings = try #require(object["findings"] as? [[String: String]])
    let bad = findings.filter { $0["state"] == "bad" }
    #expect(bad.map { $0["name"] } == ["server"])
    #expect(bad.first?["advice"]?.isEmpty == false)
    #expect(bad.first?["text"]?.contains("no server answers") == true)
  }

  @Test func `where no server is named the port of one is looked at, taken or free`() throws {
    let context = try Context()
    let hub = try Hub(context: context, listen: "tcp://127.0.0.1:0")
    let text = try #require(hub.boundEndpoint?.split(separator: ":").last)
    let port = try #require(UInt16(text))
    let taken = MachineCheck.port(port)
    #expect(taken.state == .warning && taken.text.contains("in use"), "\(taken)")
    #expect(taken.advice.contains("--listen"))
    hub.close(lingerMilliseconds: 0)
    context.terminate()
    // Another test may have taken that one meanwhile.
    #expect(
      try eventually {
        let context = try Context()
        let hub = try Hub(context: context, listen: "tcp://127.0.0.1:0")
        let text = try #require(hub.boundEndpoint?.split(separator: ":").last)
        hub.close(lingerMilliseconds: 0)
        // Only with the context is the socket sure to be gone.
        context.terminate()
        return MachineCheck.port(try #require(UInt16(text))).state == .good
      })
  }

  @Test func `data that differs from the cluster's is bad, and said with both sizes`() throws {
    var record = StatusRecord(run: 1, name: "tiny")
    let facts = DatasetFacts(trainingExamples: 400, evaluationExamples: 64, fingerprint: 0xAB)
    #expect(DoctorCommand.agreement(facts, record).isEmpty)
    record.dataset = DatasetRecord(
      trainingExamples: 400, evaluationExamples: 64, fingerprint: "00000000000000ab")
    #expect(DoctorCommand.agreement(facts, record).map(\.state) == [.good])
    record.dataset?.trainingExamples = 500
    record.dataset?.fingerprint = "00000000000000ac"
    let finding = try #require(DoctorCommand.agreement(facts, record).first)
    #expect(finding.state == .bad && finding.text.contains("400 + 64"), "\(finding)")
    #expect(finding.text.contains("500 + 64") && !finding.advice.isEmpty)
  }

  @Test func `each finding has a mark, and what to do below it`() {
    let text = DoctorCommand.text([
      Finding("cores", .good, "2"), Finding("clock", .warning, "off", advice: "set it"),
    ])
    #expect(text == "ok    cores  2\nnote  clock  off\n      set it\n")
  }
}
