import Foundation
import Messages
import Nodes
import Observability
import Tensors
import Testing
import Transport
import Wire

/// What other machines say, and what comes of it on the terminal: never a control sequence.
@Suite(.timeLimit(.minutes(10)))
struct ForeignTextTests {
  /// Sets the clipboard and the title, clears the screen, turns the writing about; a C1 control too.
  private static let evil =
    "evil\u{1B}]52;c;cm0=\u{07}\u{1B}]0;x\u{07}\u{1B}[2J\u{9B}31m\u{202E}end"
  private static let plain = "evil?]52;c;cm0=??]0;x??[2J?31m?end"

  private static func answer(_ question: Body) -> (Body, [Frame])? {
    switch question {
    case .statusRequest:
      var record = StatusRecord(run: 1, name: evil)
      record.message = evil
      return (.statusReply, [Frame(copying: record.json())])
    case .logRequest(let request) where request.node.role == .server:
      let text = "first\tline\n\(evil)\n"
      return (
        .logReply(LogReply(ticket: 0, last: 2, problem: "")), [Frame(copying: Array(text.utf8))]
      )
    case .logRequest: return (.logReply(LogReply(ticket: 0, last: 0, problem: evil)), [])
    case .commandRequest(.stop): return (.commandReply(CommandReply(text: evil, ok: true)), [])
    case .commandRequest: return (.commandReply(CommandReply(text: evil, ok: false)), [])
    case .join: return (.refusal(Refusal(reason: evil, mayJoinAgain: false)), [])
    default: return nil
    }
  }

  /// A server that says nothing else, until it is told to end.
  private static func serve(_ listening: Mailbox<String>, _ end: Mailbox<Bool>) throws {
    let context = try Context()
    defer { context.terminate() }
    let hub = try Hub(context: context, listen: "tcp://127.0.0.1:0")
    defer { hub.close(lingerMilliseconds: 0) }
    listening.post(hub.boundEndpoint ?? "")
    while end.drain().isEmpty {
      _ = try hub.wait(milliseconds: 1000, wakeUp: end.wakeUp)
      _ = hub.takeEvents()
      while let (link, parts) = try hub.receive() {
        guard let question = try? WireCodec.decode(parts),
          let (body, frames) = answer(question.body)
        else { continue }
        let header = Header(run: 1, view: 0, sender: .server, incarnation: 1)
        _ = hub.send(try WireCodec.encode(Message(header, body, frames: frames)), to: link)
      }
    }
  }

  private func expectHarmless(_ output: String, _ what: String) {
    let controls = output.unicodeScalars.filter {
      $0 != "\n" && $0 != "\t"
        && [.control, .format].contains($0.properties.generalCategory)
    }
    #expect(controls.isEmpty, "\(what): \(output.debugDescription)")
    #expect(output.contains("evil"), "\(what): \(output)")
  }

  @Test func `no server and no member steers the terminal of who asks`() throws {
    let listening = try Mailbox<String>()
    let end = try Mailbox<Bool>()
    let server = try OwnedThread(name: "evil") { try? Self.serve(listening, end) }
    defer {
      end.post(true)
      server.join()
    }
    var found: String?
    while found == nil { found = listening.take(milliseconds: 1000) }
    let endpoint = try #require(found)
    for words in [
      ["health"], ["status"], ["status", "--json"], ["logs", "server"],
      ["logs", "worker-0"], ["stop"], ["set", "lr=1"], ["checkpoint", "now"],
      ["worker", "--join-timeout", "60"],
    ] {
      let (_, output) = try Program.run(words + ["--server", endpoint]) { _, output in
        output.contains("evil")
      }
      expectHarmless(output, "\(words)")
    }
    // The lines of a log stay lines.
    let log = try Program.run(["logs", "server", "--server", endpoint]) { code, _ in code == 0 }
    #expect(log.output == "first\tline\n\(Self.plain)\n")
  }

  @Test func `the logs in a run's directory do not either`() throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/server.log"
    try "\(Self.evil)\n".write(toFile: path, atomically: true, encoding: .utf8)
    let (code, output) = try Program.run("logs", "--run-dir", scratch.path)
    #expect(code == 0, "\(output)")
    #expect(output == "\(Self.plain)\n")
  }
}
