import Foundation
import Messages
import Observability
import Tensors
import Testing
import Transport

@testable import Nodes

@Suite(.timeLimit(.minutes(30))) struct DrillExecutionTests {
  @Test func `a node without --allow-drills does nothing of what a server asks of it`() async {
    // In a process of its own: refused or not is life or death here.
    await #expect(processExitsWith: .success) {
      let context = try Context()
      let hub = try Hub(context: context, listen: nil)
      let pipe = Pipe()
      let log = Logger(
        descriptor: pipe.fileHandleForWriting.fileDescriptor, name: "worker 0", level: .warning)
      var effects: [String] = []
      for kind in Drill.Kind.allCases {
        DrillExecution.carryOut(
          Drill(kind: kind, milliseconds: 60_000, percent: 100), isAllowed: false, hub: hub,
          log: log, stall: { effects.append("stalled for \($0)") },
          fillDisk: { effects.append("a full disk for \($0)") })
      }
      let link = try hub.dial("tcp://127.0.0.1:1")
      precondition(hub.send([Frame(copying: [UInt8(1)])], to: link))
      precondition(hub.impairedMessages == 0 && effects.isEmpty)
      try pipe.fileHandleForWriting.close()
      let said = String(
        decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
      let refused = said.split(separator: "\n").count {
        $0.contains("refused a drill: this node was started without --allow-drills")
      }
      precondition(refused == Drill.Kind.allCases.count, said)
      exit(0)
    }
  }

  @Test func `a node with --allow-drills does what it is asked for, and says so`() throws {
    let context = try Context()
    defer { context.terminate() }
    let hub = try Hub(context: context, listen: nil)
    defer { hub.close(lingerMilliseconds: 0) }
    let log = Logger(descriptor: 2, name: "worker 0", level: .error)
    var effects: [String] = []
    for kind in [Drill.Kind.hang, .diskFull, .drop] {
      DrillExecution.carryOut(
        Drill(kind: kind, milliseconds: 60_000, percent: 100), isAllowed: true, hub: hub, log: log,
        stall: { effects.append("stalled for \($0)") },
        fillDisk: { effects.append("a full disk for \($0)") })
    }
    #expect(effects == ["stalled for 60000", "a full disk for 60000"])
    let link = try hub.dial("tcp://127.0.0.1:1")
    #expect(hub.send([Frame(copying: [UInt8(1)])], to: link))
    #expect(hub.impairedMessages == 1)
  }
}
