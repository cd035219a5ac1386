import Messages
import Nodes
import Observability
import Testing

@testable import crosscut

@Suite struct LogMarksTests {
  private let record = StatusRecord(run: 1, name: "tiny")
  private let worker = NodeName(.worker, 1)
  private let gone = NodeError("the server at here: there is no worker 1")

  private func line(_ second: Int, _ text: String) -> String {
    "2026-11-30T06:53:0\(second).000Z \(text)"
  }

  @Test func `a node that is gone is told of once, is waited for, and keeps no other waiting`()
    throws
  {
    var marks = LogMarks()
    var isThere = true
    var asked: [UInt64] = []
    func news() throws -> (lines: [Substring], problems: [NodeError]) {
      try marks.news(of: [worker, .server], record) { node, number in
        guard node == worker else { return .success((line(2, "server"), 1)) }
        asked.append(number)
        return isThere ? .success((line(1, "worker"), 7)) : .failure(gone)
      }
    }
    var (lines, problems) = try news()
    #expect(lines.map(String.init) == [line(1, "worker"), line(2, "server")] && problems.isEmpty)
    isThere = false
    (lines, problems) = try news()
    #expect(lines.map(String.init) == [line(2, "server")] && problems == [gone])
    (lines, problems) = try news()
    #expect(lines.count == 1 && problems.isEmpty)
    isThere = true
    (lines, problems) = try news()
    #expect(lines.count == 2 && problems.isEmpty)
    // Its mark is where it was.
    #expect(asked.dropFirst().allSatisfy { $0 == 7 })
    isThere = false
    #expect(try news().problems == [gone])
  }

  @Test func `a server that does not answer is another matter`() {
    var marks = LogMarks()
    #expect(throws: NodeError.self) {
      try marks.news(of: [worker], record) { _, _ in throw NodeError("no answer") }
    }
  }
}
