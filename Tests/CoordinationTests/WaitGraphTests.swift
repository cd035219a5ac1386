import Messages
import Testing

@testable import Coordination

@Suite struct WaitGraphTests {
  private static let server = Wait.Owner.member(.server)
  private static func worker(_ rank: Int) -> NodeName { NodeName(.worker, rank) }
  private static func fc(_ rank: Int) -> NodeName { NodeName(.fc, rank) }

  private static func wait(_ owner: Wait.Owner, _ what: String = "something") -> Wait {
    Wait(owner: owner, what: what, milliseconds: 40)
  }

  private static func node(
    _ name: NodeName, waits owners: [Wait.Owner], silent: UInt64 = 0
  ) -> WaitGraph.Node {
    WaitGraph.Node(
      name: name, waits: owners.map { wait($0) }, phase: "conv forward",
      millisecondsSinceProgress: 50, millisecondsSilent: silent)
  }

  /// The server waits for `owners`.
  private static func graph(_ owners: [Wait.Owner], _ nodes: [WaitGraph.Node]) -> WaitGraph {
    WaitGraph(
      serverWaits: owners.map { wait($0) }, nodes: nodes, silenceLimitMilliseconds: 1500)
  }

  @Test func `the end of the chain is at fault, not those in between`() {
    let graph = Self.graph(
      [.member(Self.worker(0)), .member(Self.worker(1))],
      [
        Self.node(Self.worker(0), waits: [.member(Self.fc(0)), .member(Self.fc(1))]),
        Self.node(Self.worker(1), waits: [.own("compute thread")]),
        Self.node(Self.fc(0), waits: [.member(Self.worker(1))]),
        Self.node(Self.fc(1), waits: [.member(Self.fc(0))]),
      ])
    #expect(graph.culprits == [Self.worker(1)])
    #expect(graph.isStuck(Self.worker(1)))
    #expect(!graph.isStuck(Self.worker(0)))
    #expect(graph.rootCause == "worker 1 waits for its compute thread: something, for 40 ms")
  }

  @Test func `a silent node is the end, whatever it last said it waits for`() {
    let graph = Self.graph(
      [.member(Self.worker(0))],
      [
        Self.node(Self.worker(0), waits: [.member(Self.fc(0))]),
        Self.node(Self.fc(0), waits: [.member(Self.worker(0))], silent: 2000),
      ])
    #expect(graph.culprits == [Self.fc(0)])
    #expect(graph.isStuck(Self.fc(0)))
    #expect(graph.rootCause == "fc 0 has been silent for 2000 ms")
  }

  @Test func `a node that is gone is named`() {
    let graph = Self.graph(
      [.member(Self.worker(0))], [Self.node(Self.worker(0), waits: [.member(Self.fc(3))])])
    #expect(graph.culprits == [Self.fc(3)])
    #expect(!graph.isStuck(Self.fc(3)))
    #expect(graph.rootCause == "fc 3 is not there")
  }

  @Test func `who waits only for a server that waits for them missed a message`() {
    let graph = Self.graph(
      [.member(Self.worker(0))], [Self.node(Self.worker(0), waits: [Self.server])])
    #expect(graph.culprits == [Self.worker(0)])
    #expect(!graph.isStuck(Self.worker(0)))
    #expect(graph.rootCause == "worker 0 waits for server: something, for 40 ms")
  }

  @Test func `who waits for a busy server is not to blame`() {
    let graph = Self.graph(
      [.member(Self.worker(0)), .own("compute thread")],
      [Self.node(Self.worker(0), waits: [Self.server])])
    #expect(graph.culprits == [.server])
    #expect(graph.isStuck(.server))
    #expect(graph.rootCause == "server waits for its compute thread: something, for 40 ms")
  }

  @Test func `those in a circle are named, not those who wait for it`() {
    let graph = Self.graph(
      [.member(Self.worker(0)), .member(Self.worker(1))],
      [
        Self.node(Self.worker(0), waits: [.member(Self.fc(0))]),
        Self.node(Self.worker(1), waits: [.member(Self.fc(0))]),
        Self.node(Self.fc(0), waits: [.member(Self.worker(1))]),
      ])
    #expect(graph.culprits == [Self.fc(0), Self.worker(1)])
    #expect(!graph.isStuck(Self.fc(0)) && !graph.isStuck(Self.worker(1)))
    #expect(graph.rootCause.hasPrefix("they wait for each other: fc 0 waits for worker 1"))
  }

  @Test func `an end counts for more than a circle beside it`() {
    let graph = Self.graph(
      [.member(Self.worker(0)), .member(Self.worker(1))],
      [
        Self.node(Self.worker(0), waits: [.member(Self.fc(0))]),
        Self.node(Self.fc(0), waits: [.member(Self.worker(0)), .member(Self.worker(1))]),
        Self.node(Self.worker(1), waits: [.own("data loader")]),
      ])
    #expect(graph.culprits == [Self.worker(1)])
  }

  @Test func `who has not come is said`() {
    let graph = Self.graph([.absent("2 more workers")], [])
    #expect(graph.culprits == [])
    #expect(graph.rootCause == "the server waits for 2 more workers: something")
  }

  @Test func `no wait, no cause`() {
    #expect(Self.graph([], []).rootCause == "the server waits for nobody")
  }

  @Test func `nobody is blamed whom the server's chain does not reach`() {
    let graph = Self.graph(
      [.member(Self.worker(0))],
      [
        Self.node(Self.worker(0), waits: []), Self.node(Self.worker(1), waits: [], silent: 9999),
      ])
    #expect(graph.culprits == [Self.worker(0)])
    #expect(graph.rootCause == "worker 0 is in conv forward, no progress for 50 ms")
  }
}
