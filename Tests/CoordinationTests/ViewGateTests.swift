import Messages
import Testing

@testable import Coordination

@Suite struct ViewGateTests {
  private var gate = ViewGate(run: Fixture.run, serverIncarnation: Fixture.serverIncarnation)

  private func advance(_ turn: UInt64, view: UInt32) -> Message {
    Message(Fixture.header(.server, view: view), .advance(Advance(turn: turn)))
  }

  private func turns(_ messages: [Message]?) -> [UInt64]? {
    messages?.compactMap { if case .advance(let advance) = $0.body { advance.turn } else { nil } }
  }

  init() { _ = gate.advance(to: Fixture.view(3)) }

  @Test func `who belongs to the view is let in`() {
    #expect(gate.verdict(Fixture.header(.server, view: 3)) == .accept)
    #expect(gate.verdict(Fixture.header(NodeID(1), view: 3)) == .accept)
    #expect(gate.verdict(Fixture.header(NodeID(12), view: 3)) == .accept)
  }

  @Test func `everything else has its reason`() {
    var foreign = Fixture.header(NodeID(1), view: 3)
    foreign.run = 78
    #expect(gate.verdict(foreign) == .drop(.otherRun))
    #expect(gate.verdict(Fixture.header(NodeID(1), view: 2)) == .drop(.oldView))
    #expect(gate.verdict(Fixture.header(NodeID(7), view: 3)) == .drop(.notAMember))
    var reborn = Fixture.header(NodeID(1), view: 3)
    reborn.incarnation = 1
    #expect(gate.verdict(reborn) == .drop(.oldIncarnation))
    var otherServer = Fixture.header(.server, view: 3)
    otherServer.incarnation = 1
    #expect(gate.verdict(otherServer) == .drop(.oldIncarnation))
    #expect(gate.verdict(Fixture.header(NodeID(7), view: 4)) == .keep)
  }

  @Test mutating func `what is dropped is counted by its reason`() {
    let messages = [
      advance(1, view: 1), advance(1, view: 2),
      Message(Fixture.header(NodeID(7), view: 3), .goodbye),
    ]
    for message in messages {
      let isAdmitted = gate.admit(message)
      #expect(!isAdmitted)
    }
    #expect(gate.dropped == [.oldView: 2, .notAMember: 1])
    #expect(gate.droppedCount == 3)
  }

  @Test mutating func `what comes early is replayed in order when its view comes`() {
    for (turn, view) in [(1, 4), (2, 5), (3, 4), (4, 6), (5, 4)] as [(UInt64, UInt32)] {
      let isAdmitted = gate.admit(advance(turn, view: view))
      #expect(!isAdmitted)
    }
    let fourth = gate.advance(to: Fixture.view(4))
    #expect(turns(fourth) == [1, 3, 5])
    // View 5 was never told here: what came for it is gone with it.
    let sixth = gate.advance(to: Fixture.view(6))
    #expect(turns(sixth) == [4])
    #expect(gate.droppedCount == 0)
  }

  @Test mutating func `a view that is not newer changes nothing`() {
    let (same, older) = (gate.advance(to: Fixture.view(3)), gate.advance(to: Fixture.view(2)))
    #expect(same == nil && older == nil)
    #expect(gate.view?.number == 3)
    #expect(gate.dropped == [.oldView: 2])
  }

  @Test mutating func `the store for early messages is bounded`() {
    for turn in 0...UInt64(ViewGate.maximumKept) { _ = gate.admit(advance(turn, view: 4)) }
    #expect(gate.dropped == [.tooManyEarly: 1])
    let early = gate.advance(to: Fixture.view(4))
    #expect(early?.count == ViewGate.maximumKept)
  }

  @Test mutating func `views and the end are the server's to tell`() {
    let own = Fixture.header(.server, view: 9)
    var (old, foreign) = (own, own)
    old.incarnation = 1
    foreign.run = 1
    let admitted = [own, Fixture.header(NodeID(1), view: 9), old, foreign].map {
      gate.admitsFromServer($0)
    }
    #expect(admitted == [true, false, false, false])
    #expect(gate.dropped == [.unexpected: 1, .oldIncarnation: 1, .otherRun: 1])
  }
}
