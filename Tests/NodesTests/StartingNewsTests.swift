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
    #expect(!news.isDue(10_000_000))
    #expect(!news.isDue(10_400_000))
    #expect(news.isDue(10_500_000))
    #expect(!news.isDue(12_400_000))
    #expect(news.isDue(12_500_000))
  }

  @Test func `what it hears is said once, and again when it is something else`() {
    var news = StartingNews()
    let first = Self.frames("waiting for 1 more worker, 1 more fc node")
    #expect(
      news.line(of: first) == "the run has not begun: waiting for 1 more worker, 1 more fc node")
    #expect(news.line(of: first) == nil)
    #expect(news.line(of: Self.frames("")) == nil)
    #expect(news.line(of: Self.frames("waiting for 1 more fc node"))?.hasSuffix("fc node") == true)
  }

  @Test func `what is no status is no news`() {
    var news = StartingNews()
    #expect(news.line(of: []) == nil)
    #expect(news.line(of: [Frame(copying: Array("{}".utf8))]) == nil)
  }
}
