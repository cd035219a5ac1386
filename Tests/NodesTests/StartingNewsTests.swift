import Messages
import Observability
import Tensors
import Testing

@testable import Nodes

@Suite struct StartingNewsTests {
  private static func frames(_ message: String) -> [Frame] {
    var record = StatusRecord(run: 1, name: "tiny")
    record.message = message
    return [Frame(copying: record.json())]
  }

  @Test func `a node asks soon after it is ready, and then every two seconds`() {
    var news = StartingNews()
    let moments: [UInt64] = [10_000_000, 10_400_000, 10_500_000, 12_400_000, 12_500_000]
    let due = moments.map { news.isDue($0) }
    #expect(due == [false, false, true, false, true])
  }

  @Test func `what it hears is said once, and again when it is something else`() {
    var news = StartingNews()
    let messages = [
      "waiting for 1 more worker, 1 more fc node", "waiting for 1 more worker, 1 more fc node", "",
      "waiting for 1 more fc node",
    ]
    let lines = messages.map { news.line(of: Self.frames($0)) }
    #expect(
      lines == [
        "the run has not begun: waiting for 1 more worker, 1 more fc node", nil, nil,
        "the run has not begun: waiting for 1 more fc node",
      ])
  }

  @Test func `what is no status is no news`() {
    var news = StartingNews()
    let lines = [[], [Frame(copying: Array("{}".utf8))]].map { news.line(of: $0) }
    #expect(lines == [nil, nil])
  }
}
