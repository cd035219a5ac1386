import Messages
import Tensors
import Testing

@testable import Wire

@Suite struct ContractTests {
  private static let block = RowBlock(firstRow: 0, rows: 2, columns: 3)
  private static let labels = Frame(copying: [Int32](arrayLiteral: 1, 2))

  private static func activations(
    _ firstRow: Int, _ rows: Int, _ columns: Int, subBatch: Int = 0, turn: UInt64 = 0
  ) -> Body {
    .activations(
      Activations(
        turn: turn, subBatch: subBatch,
        block: RowBlock(firstRow: firstRow, rows: rows, columns: columns)))
  }

  private static func view(
    _ workers: [Member], _ fcNodes: [Member] = [], number: UInt32 = 1, holders: [Int] = []
  ) -> Body {
    .view(
      View(
        number: number, resumeTurn: 0, workers: workers, fcNodes: fcNodes,
        dataset: Samples.dataset, holders: holders))
  }

  private static func member(_ role: Role, _ rank: Int, node: UInt32 = 1) -> Member {
    Member(node: NodeID(node), incarnation: 1, name: NodeName(role, rank), endpoint: "")
  }

  private static func heartbeat(
    phase: String = "", times: (inout StepTimes) -> Void = { _ in },
    telemetry: (inout Telemetry) -> Void = { _ in }, waits: [Wait] = [], heldGroups: [Int] = []
  ) -> Body {
    var stepTimes = StepTimes()
    times(&stepTimes)
    var filled = Telemetry(stepMilliseconds: stepTimes)
    telemetry(&filled)
    return .heartbeat(
      Heartbeat(
        ready: true, dataset: nil, turn: 0, phase: phase, millisecondsSinceProgress: 0,
        telemetry: filled, waits: waits, heldGroups: heldGroups))
  }

  /// A reason that has not been cut to its length.
  private static var longRefusal: Refusal {
    var refusal = Refusal(reason: "")
    refusal.reason = String(repeating: "x", count: 4097)
    return refusal
  }

  /// What breaks the contract, and the field it is to be blamed on.
  private static let broken: [(field: String, body: Body, frames: [Frame])] = [
    ("activations.block.rows", activations(0, 0, 3), [labels]),
    ("activations.block.rows", activations(0, -2, 3), [labels]),
    ("activations.block.rows", activations(.init(Int32.max), 1, 3), [labels]),
    ("activations.block.rows", activations(0, .max, 3), [labels]),
    ("activations.block.columns", activations(0, 2, 0), [labels]),
    ("activations.block.columns", activations(0, 2, 1 << 21), [labels]),
    ("activations.block.first row", activations(-1, 2, 3), [labels]),
    ("activations.block.first row", activations(.max, 2, 3), [labels]),
    ("activations.sub-batch", activations(0, 2, 3, subBatch: -1), [labels]),
    ("activations.turn", activations(0, 2, 3, turn: .max), [labels]),
    ("activations.frames", activations(0, 2, 3), []),
    ("activations.frames", activations(0, 2, 3), [labels]),
    ("activations.frames", activations(0, 2, 3), [labels, Samples.floats(7)]),
    ("activations.frames", activations(0, 2, 3), [labels, Samples.floats(9)]),
    ("activations.frames", activations(0, 2, 3), [labels, Samples.floats(6), labels]),
    ("activations.frames", activations(0, 2, 3), [Samples.floats(3), Samples.floats(6)]),
    (
      "activations.frames", activations(0, 2, 3),
      [labels, Samples.floats(6), Frame(copying: [UInt8]())]
    ),
    (
      "feature gradients.frames",
      .featureGradients(FeatureGradients(turn: 0, subBatch: 0, block: block)),
      [Samples.floats(4)]
    ),
    ("push.chunk", .push(Push(turn: 0, chunk: -1)), [Samples.floats(1)]),
    ("push.chunk", .push(Push(turn: 0, chunk: 1 << 31)), [Samples.floats(1)]),
    ("push.turn", .push(Push(turn: (1 << 53) + 1, chunk: 0)), [Samples.floats(1)]),
    ("push.frames", .push(Push(turn: 0, chunk: 0)), []),
    ("push.frames", .push(Push(turn: 0, chunk: 0)), [Frame(copying: [UInt8](arrayLiteral: 1))]),
    ("push.frames", .push(Push(turn: 0, chunk: nil)), [Samples.floats(1)]),
    ("parameters.frames", .parameters(Parameters(version: 0, chunk: 0)), []),
    ("exchange.frames", .exchange(Exchange(turn: 0, subBatch: 0, index: 0)), []),
    ("exchange.index", .exchange(Exchange(turn: 0, subBatch: 0, index: -1)), [labels]),
    ("report.frames", .report(Report(turn: 0, subBatch: 0, lossSum: 0, examples: 0)), []),
    (
      "report.examples", .report(Report(turn: 0, subBatch: 0, lossSum: 0, examples: 3)), [labels]
    ),
    (
      "report.examples", .report(Report(turn: 0, subBatch: 0, lossSum: 0, examples: -1)),
      [labels]
    ),
    (
      "slice.columns",
      .slice(
        Slice(
          transfer: 4, number: 0, part: .velocity, key: 0, firstRow: 0, rows: 1,
          firstColumn: .init(Int32.max), columns: 1, isLast: false)),
      [Samples.floats(1)]
    ),
    (
      "slice.rows",
      .slice(
        Slice(
          transfer: 4, number: 0, part: .velocity, key: 0, firstRow: 0, rows: 0, firstColumn: 0,
          columns: 1, isLast: false)), []
    ),
    ("collect.turn", .collect(Collect(transfer: 1, turn: .max)), []),
    ("restore.steps", .restore(Restore(transfer: 1, steps: .max, isInitial: false)), []),
    ("status reply.frames", .statusReply, []), ("status request.frames", .statusRequest, [labels]),
    (
      "pictures.rows", .pictures(Pictures(firstRow: 11, rows: 2, channels: 1, height: 1, width: 1)),
      []
    ),
    (
      "pictures.channels",
      .pictures(Pictures(firstRow: 0, rows: 1, channels: 2, height: 1, width: 1)), []
    ),
    (
      "pictures.width",
      .pictures(Pictures(firstRow: 0, rows: 1, channels: 1, height: 1, width: 65)),
      []
    ),
    (
      "pictures.frames",
      .pictures(Pictures(firstRow: 0, rows: 1, channels: 1, height: 2, width: 2)),
      [Samples.floats(1), Samples.floats(2)]
    ),
    ("guesses.classes", .guesses(Guesses(step: 0, rows: 1, classes: 6)), []),
    (
      "guesses.frames", .guesses(Guesses(step: 0, rows: 1, classes: 2)),
      [Samples.floats(2), Samples.floats(3)]
    ),
    ("log request.after", .logRequest(LogRequest(node: .server, after: .max)), []),
    ("log request.frames", .logRequest(LogRequest(node: .server, after: 0)), [labels]),
    ("log reply.last", .logReply(LogReply(ticket: 0, last: .max)), []),
    ("log reply.frames", .logReply(LogReply(ticket: 0, last: 0)), [labels, labels]),
    (
      "log reply.frames", .logReply(LogReply(ticket: 0, last: 0)),
      [Frame(copying: [UInt8](repeating: 0x41, count: Limits.logBytes + 1))]
    ),
    ("command request.learning rate", .commandRequest(.setLearningRate(0)), []),
    ("command request.learning rate", .commandRequest(.setLearningRate(.nan)), []),
    ("command request.trace turns", .commandRequest(.trace(turns: 0)), []),
    ("command request.trace turns", .commandRequest(.trace(turns: 65)), []),
    ("trace request.turns", .traceRequest(TraceRequest(turns: 0, sentAt: 1)), []),
    ("trace report.frames", .traceReport(TraceReport(requestedAt: 1, sentAt: 1)), []),
    (
      "advance.rate changes",
      .advance(
        Advance(
          turn: 0,
          rateChanges: [
            RateChange(firstStep: 5, factor: 1), RateChange(firstStep: 5, factor: 1),
          ])), []
    ),
    ("goodbye.frames", .goodbye, [labels]),
    ("welcome.frames", .welcome(Welcome(node: .server, rank: 0)), []),
    ("refusal.reason", .refusal(longRefusal), []),
    ("leave.reason", .leave(Leave(reason: "cut\0here")), []),
    (
      "join.preferred rank",
      .join(
        Join(
          role: .fc, host: "", processID: 1, softwareVersion: "", endpoint: "",
          preferredRank: -2)), []
    ),
    (
      "join.process id",
      .join(
        Join(
          role: .fc, host: "", processID: -1, softwareVersion: "", endpoint: "",
          preferredRank: 0)), []
    ),
    ("view.number", view([], number: 0), []),
    ("view.workers", view([member(.fc, 0)]), []),
    ("view.workers", view([member(.worker, 1), member(.worker, 1)]), []),
    ("view.workers", view([member(.worker, -1)]), []),
    ("view.workers", view([member(.worker, 0, node: 0)]), []),
    ("view.fc nodes", view([], [member(.worker, 0)]), []),
    ("heartbeat.phase", heartbeat(phase: String(repeating: "x", count: 5000)), []),
    ("heartbeat.telemetry", heartbeat(times: { $0.compute = .nan }), []),
    ("heartbeat.telemetry", heartbeat(times: { $0.data = -1 }), []),
    ("heartbeat.telemetry", heartbeat(telemetry: { $0.largestGapMilliseconds = .infinity }), []),
    ("heartbeat.telemetry", heartbeat(telemetry: { $0.bytesSent = .max }), []),
    ("heartbeat.telemetry", heartbeat(telemetry: { $0.loaderImagesPerSecond = -1 }), []),
    ("heartbeat.held groups", heartbeat(heldGroups: [2, 2]), []),
    ("view.holders", view([member(.worker, 0)], holders: [0, 1]), []),
    (
      "wait.owner",
      heartbeat(waits: [Wait(owner: .member(NodeName(.fc, -1)), what: "", milliseconds: 0)]), []
    ),
    (
      "wait.milliseconds",
      heartbeat(waits: [Wait(owner: .own("x"), what: "", milliseconds: .max)]), []
    ),
  ]

  @Test(arguments: broken.indices)
  func `what breaks the contract is not sent, and its field is named`(index: Int) throws {
    let (field, body, frames) = Self.broken[index]
    let error = #expect(throws: WireError.self) {
      try WireCodec.encode(Message(Samples.header, body, frames: frames))
    }
    guard case .invalid(let named, _) = error else {
      Issue.record("\(String(describing: error)) instead of \(field)")
      return
    }
    #expect(named == field)
  }

  /// All but the NUL, which C's strings cannot carry.
  @Test(arguments: broken.indices.filter { broken[$0].field != "leave.reason" })
  func `what breaks the contract is not received either`(index: Int) throws {
    // Packed without asking: numbers out of range arrive as what 32 bits make of them.
    let (_, body, frames) = Self.broken[index]
    let header = Frame(copying: packUnchecked(Message(Samples.header, body)))
    #expect(throws: WireError.self) { try WireCodec.decode([header] + frames) }
  }

  @Test func `too many or too large frames are refused`() throws {
    let frame = Samples.floats(1)
    let exchange = Body.exchange(Exchange(turn: 0, subBatch: 0, index: 0))
    let header = try WireCodec.encode(Message(Samples.header, exchange, frames: [frame]))[0]
    let many = Array(repeating: frame, count: Limits.frames + 1)
    #expect(throws: WireError.tooManyFrames(count: 1025)) {
      try WireCodec.decode([header] + many)
    }
    #expect(throws: WireError.tooManyFrames(count: 1025)) {
      try WireCodec.encode(Message(Samples.header, exchange, frames: many))
    }
    let large = Frame(copying: [UInt8](repeating: 0, count: Limits.frameBytes + 4))
    #expect(throws: WireError.frameTooLarge(index: 1, bytes: Limits.frameBytes + 4)) {
      try WireCodec.decode([header, frame, large])
    }
  }

  @Test func `a header that is too large is refused`() throws {
    let waits = (0..<100).map { _ in
      Wait(owner: .own(""), what: String(repeating: "x", count: 4000), milliseconds: 0)
    }
    let error = #expect(throws: WireError.self) {
      try WireCodec.encode(Message(Samples.header, Self.heartbeat(waits: waits)))
    }
    guard case .headerTooLarge = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    let header = Frame(copying: [UInt8](repeating: 0, count: Limits.headerBytes + 1))
    #expect(throws: WireError.headerTooLarge(bytes: Limits.headerBytes + 1)) {
      try WireCodec.decode([header])
    }
  }

  @Test func `nothing at all is refused`() {
    #expect(throws: WireError.empty) { try WireCodec.decode([]) }
    #expect(throws: WireError.version(found: 0)) {
      try WireCodec.decode([Frame(copying: [UInt8]())])
    }
  }

}
