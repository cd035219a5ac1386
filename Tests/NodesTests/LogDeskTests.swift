import Messages
import Testing
import Transport

@testable import Nodes

@Suite struct LogDeskTests {
  private let asker = Hub.Link.accepted([1])
  private let node = NodeID(4)

  @Test func `an answer goes to who asked, once, and only the node's own`() throws {
    var desk = LogDesk()
    let opened = desk.open(asker, about: node, now: 0)
    let ticket = try #require(opened)
    let askers = [
      desk.close(ticket, answeredBy: NodeID(5)), desk.close(ticket + 1, answeredBy: node),
      desk.close(ticket, answeredBy: node), desk.close(ticket, answeredBy: node),
    ]
    #expect(askers == [nil, nil, asker, nil])
  }

  @Test func `no more than a few questions wait, and none for ever`() {
    var desk = LogDesk()
    let tickets = (0..<LogDesk.limit).map { _ in desk.open(asker, about: node, now: 1000) }
    #expect(!tickets.contains(nil))
    let refused = desk.open(asker, about: node, now: 1001)
    #expect(refused == nil)
    let later = desk.open(asker, about: node, now: 1000 + LogDesk.patience)
    #expect(later != nil)
  }
}
