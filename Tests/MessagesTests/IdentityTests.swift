import Messages
import Tensors
import Testing

@Suite struct IdentityTests {
  private func member(_ node: UInt32, _ role: Role, _ rank: Int) -> Member {
    Member(
      node: NodeID(node), incarnation: UInt64(node) << 40, name: NodeName(role, rank),
      endpoint: role == .fc ? "inproc://\(node)" : "")
  }

  @Test func `nodes are named as people name them`() {
    #expect("\(NodeName.server)" == "server")
    #expect("\(NodeName(.worker, 3))" == "worker 3")
    #expect("\(NodeName(.fc, 0))" == "fc 0")
    #expect("\(NodeID(7))" == "node 7")
    #expect(NodeID.server.value == 0)
    #expect(NodeID(2) < NodeID(10))
  }

  @Test func `a view finds its members of both roles by node, and nobody else`() {
    let view = View(
      number: 3, resumeTurn: 12, workers: [member(4, .worker, 0), member(2, .worker, 1)],
      fcNodes: [member(7, .fc, 0)],
      dataset: DatasetFacts(trainingExamples: 10, evaluationExamples: 5, fingerprint: 1))
    #expect(view.member(NodeID(2))?.name == NodeName(.worker, 1))
    #expect(view.member(NodeID(7))?.name == NodeName(.fc, 0))
    #expect(view.member(NodeID(3)) == nil)
    #expect(view.member(.server) == nil)
    #expect(!view.isFinal)
  }

  @Test func `a process that starts again is another member`() {
    let first = Member(node: NodeID(1), incarnation: 5, name: NodeName(.worker), endpoint: "")
    let second = Member(node: NodeID(1), incarnation: 6, name: NodeName(.worker), endpoint: "")
    #expect(first != second)
  }

  @Test func `who is waited for has a name`() {
    #expect("\(Wait.Owner.member(NodeName(.fc, 2)))" == "fc 2")
    #expect("\(Wait.Owner.own("loader"))" == "loader")
    #expect("\(Wait.Owner.absent("1 more worker"))" == "1 more worker")
  }
}

@Suite struct MessageTests {
  @Test func `a message counts the bytes of its frames, not of its header`() {
    let header = Header(run: 1, view: 2, sender: NodeID(3), incarnation: 4)
    let frames = [Frame(copying: [Float](repeating: 0, count: 10)), Frame(copying: [Int32(1)])]
    #expect(Message(header, .push(Push(turn: 1, chunk: 0)), frames: frames).frameBytes == 44)
    #expect(Message(header, .goodbye).frameBytes == 0)
  }

  @Test func `messages about different turns, chunks or pieces are different`() {
    let bodies: [Body] = [
      .push(Push(turn: 1, chunk: 0)), .push(Push(turn: 1, chunk: 1)),
      .push(Push(turn: 2, chunk: 0)), .push(Push(turn: 1, chunk: nil)),
      .parameters(Parameters(version: 1, chunk: 0)),
      .exchange(Exchange(turn: 1, subBatch: 0, index: 0)),
      .exchange(Exchange(turn: 1, subBatch: 1, index: 0)),
      .exchange(Exchange(turn: 1, subBatch: 0, index: 1)),
      .activations(
        Activations(turn: 1, subBatch: 0, block: RowBlock(firstRow: 0, rows: 1, columns: 2))),
      .featureGradients(
        FeatureGradients(turn: 1, subBatch: 0, block: RowBlock(firstRow: 0, rows: 1, columns: 2))),
    ]
    #expect(Set(bodies).count == bodies.count)
  }

  @Test func `the largest legal message fits the memory of an ordinary machine`() {
    #expect(Limits.frameBytes == 4 << 20)
    #expect(Limits.frames * Limits.frameBytes <= 4 << 30)
    #expect(Limits.stringBytes < Limits.headerBytes)
  }

  @Test(arguments: ["", "x", "xy"])
  func `a reason that is too long for a header is cut, at a character`(start: String) {
    let long = start + String(repeating: "\u{20AC}", count: 2_000)
    let cut = [
      Refusal(reason: long).reason, Leave(reason: long).reason,
      Stop(outcome: .failed, reason: long).reason,
      Complaint(node: NodeID(3), reason: long).reason,
    ]
    for text in cut {
      #expect((Limits.stringBytes - 12...Limits.stringBytes).contains(text.utf8.count))
      #expect(text.hasSuffix("\u{2026}"))
    }
    let longest = String(repeating: "x", count: Limits.stringBytes)
    #expect(Leave(reason: longest).reason == longest)
  }
}
