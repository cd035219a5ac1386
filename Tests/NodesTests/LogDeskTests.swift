import Messages
import Testing
import Transport

@testable import Nodes

@Suite struct LogDeskTests {
  private let asker = Hub.Link.accepted([1])
  private let node = NodeID(4)

  @Test func `an answer goes to who asked, once, and only the node's own`() throws {
    var desk = LogDesk()
    let ticket = try #require(desk.open(asker, about: node, now: 0))
    #expect(desk.close(ticket, answeredBy: NodeID(5)) == nil)
    #expect(desk.close(ticket + 1, answeredBy: node) == nil)
    #expect(desk.close(ticket, answeredBy: node) == asker)
    #expect(desk.close(ticket, answeredBy: node) == nil)
  }

  @Test func `no more than a few questions wait, and none for ever`() {
    var desk = LogDesk()
    for _ in 0..<LogDesk.limit { #expect(desk.open(asker, about: node, now: 1000) != nil) }
    #expect(desk.open(asker, about: node, now: 1001) == nil)
    #expect(desk.open(asker, about: node, now: 1000 + LogDesk.patience) != nil)
  }
}
