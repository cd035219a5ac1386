import Messages
import Tensors

/// Messages of every kind, with their raw frames: ordinary, extreme and empty ones.
enum Samples {
  static let largestCounter: UInt64 = 1 << 53
  static let largestNumber = Int(Int32.max)

  /// `count` floats, each different.
  static func floats(_ count: Int) -> Frame {
    Frame(copying: (0..<count).map { Float($0) + 0.25 })
  }

  static let member = Member(
    node: NodeID(7), incarnation: 0xdead_beef_0123_4567, name: NodeName(.worker, 3),
    endpoint: "tcp://10.0.0.3:41873")

  static let view = View(
    number: 4, resumeTurn: 812,
    workers: [
      Member(node: NodeID(1), incarnation: 11, name: NodeName(.worker, 0), endpoint: ""), member,
    ],
    fcNodes: [
      Member(
        node: NodeID(.max), incarnation: .max, name: NodeName(.fc, 1),
        endpoint: "ipc:///tmp/fc-0")
    ],
    shards: [
      Member(
        node: NodeID(12), incarnation: 13, name: NodeName(.shard, 1),
        endpoint: "tcp://10.0.0.4:41873")
    ], dataset: dataset, isFinal: true, holders: [1, 0, 1])

  static let dataset = DatasetFacts(
    trainingExamples: 1_281_167, evaluationExamples: 50_000, fingerprint: 0x0123_4567_89ab_cdef)

  static let telemetry: Telemetry = {
    var times = StepTimes()
    times.data = 1.5
    times.convolutionForward = 2.5
    times.waitingForFC = 3.5
    times.convolutionBackward = 4.5
    times.waitingForParameters = 5.5
    times.compute = 6.5
    times.waitingForPeers = 7.5
    return Telemetry(
      stepMilliseconds: times, bytesSent: 1, bytesReceived: 2, residentBytes: 3,
      droppedMessages: 4, largestGapMilliseconds: 8.5, loaderImagesPerSecond: 9.5,
      takenImagesPerSecond: 10.5, brokenExamples: 11)
  }()

  static let heartbeat = Heartbeat(
    ready: true, dataset: dataset, turn: 812, phase: "conv forward",
    millisecondsSinceProgress: 34, telemetry: telemetry,
    waits: [
      Wait(
        owner: .member(NodeName(.fc, 2)), what: "gradient of conv4 chunk 2, step 812",
        milliseconds: 5),
      Wait(owner: .own("loader"), what: "batch 813", milliseconds: 6),
      Wait(owner: .absent("1 more wörker"), what: "", milliseconds: 0),
    ], heldGroups: [0, 5, 511])

  /// Every body, each field away from its default.
  static let ordinary: [(Body, [Frame])] = [
    (
      .join(
        Join(
          role: .fc, host: "höst", processID: 4711, softwareVersion: "0.1.0",
          endpoint: "tcp://[::1]:5", preferredRank: 2, allowsDrills: true)), []
    ),
    (.welcome(Welcome(node: NodeID(9), rank: 3)), [Frame(copying: Array("{\"seed\": 1}".utf8))]),
    (.refusal(Refusal(reason: "the run is full")), []),
    (.refusal(Refusal(reason: "another run", mayJoinAgain: true)), []),
    (.view(view), []),
    (.heartbeat(heartbeat), []),
    (.advance(Advance(turn: 813)), []),
    (
      .advance(
        Advance(
          turn: 813, rateReductions: 2,
          rateChanges: [
            RateChange(firstStep: 0, factor: 0.5), RateChange(firstStep: 814, factor: 1.25),
          ])), []
    ),
    (.commandRequest(.stop(reason: "asked by the user")), []),
    (.commandRequest(.checkpointNow), []),
    (.commandRequest(.setLearningRate(0.001)), []),
    (.commandRequest(.trace(turns: 3)), []),
    (
      .commandRequest(
        .drill(
          Drill(kind: .delay, milliseconds: 4000, percent: 30, latencyMilliseconds: 250),
          target: NodeName(.fc, 3))), []
    ),
    (.complaint(Complaint(node: NodeID(5), reason: "a push of 3 bytes")), []),
    (.commandReply(CommandReply(text: "the run ends", ok: true)), []),
    (.commandReply(CommandReply(text: "3 turns", ok: true)), [Frame(copying: Array("{}".utf8))]),
    (.traceRequest(TraceRequest(turns: 64, sentAt: 1 << 53)), []),
    (
      .traceReport(TraceReport(requestedAt: 5, sentAt: 77)), [Frame(copying: Array("[]".utf8))]
    ),
    (
      .pictures(Pictures(firstRow: 4, rows: 2, channels: 3, height: 2, width: 3)),
      [
        Frame(copying: [Int32](arrayLiteral: 3, 9)),
        Frame(copying: [UInt8](repeating: 7, count: 36)),
        Frame(copying: Array("shirt\nboot\n".utf8)),
      ]
    ),
    (.guesses(Guesses(step: 812, rows: 2, classes: 3)), [floats(6), floats(6)]),
    (.logRequest(LogRequest(node: NodeName(.fc, 1), after: 17, ticket: 3)), []),
    (.logReply(LogReply(ticket: 3, last: 19)), [Frame(copying: Array("one\ntwo\n".utf8))]),
    (.logReply(LogReply(ticket: 0, last: 0, problem: "there is no fc 1")), []),
    (.leave(Leave(reason: "SIGTERM")), []),
    (.leave(Leave(reason: "no data", endsRun: true)), []),
    (.stop(Stop(outcome: .interrupted, reason: "asked by the user")), []),
    (.goodbye, []),
    (.push(Push(turn: 812, chunk: 5)), [floats(100)]),
    (.push(Push(turn: 812, chunk: nil)), []),
    (.parameters(Parameters(version: 813, chunk: 6)), [floats(33)]),
    (.pull, []),
    (.applied(Applied(turn: 812)), []),
    (
      .activations(
        Activations(
          turn: 812, subBatch: 1, block: RowBlock(firstRow: 64, rows: 5, columns: 7))),
      [Frame(copying: [Int32](arrayLiteral: 1, 2, 3, 4, -1)), floats(14), floats(21)]
    ),
    (
      .featureGradients(
        FeatureGradients(
          turn: 812, subBatch: 1, block: RowBlock(firstRow: 64, rows: 2, columns: 7))),
      [floats(7), floats(7)]
    ),
    (.exchange(Exchange(turn: 812, subBatch: 1, index: 2)), [floats(3), floats(11)]),
    (
      .report(Report(turn: 812, subBatch: 1, lossSum: 294.75, examples: 3)),
      [Frame(copying: [Int32](arrayLiteral: 0, 4, 1, -1))]
    ),
    (
      .slice(
        Slice(
          transfer: 4, number: 3, part: .value, key: 8, firstRow: 128, rows: 2, firstColumn: 256,
          columns: 3, isLast: true)),
      [floats(6)]
    ),
    (.collect(Collect(transfer: 5, turn: 900)), []),
    (.collect(Collect(transfer: 6, turn: 901, mirrored: true)), []),
    (
      .fault(
        Fault(turn: 812, culprit: NodeID(3), depth: 2, what: "the outputs of fc6 are nan")), []
    ),
    (.restore(Restore(transfer: 6, steps: 500, isInitial: true)), []),
    (.statusRequest, []),
    (.statusReply, [Frame(copying: Array("{".utf8)), Frame(copying: Array("}".utf8))]),
  ]

  /// Fields at the ends of their ranges.
  static let extreme: [(Body, [Frame])] = [
    (
      .join(
        Join(
          role: .worker, host: "", processID: 0, softwareVersion: "", endpoint: "",
          preferredRank: -1)), []
    ),
    (
      .join(
        Join(
          role: .observer, host: String(repeating: "x", count: Limits.stringBytes),
          processID: .max, softwareVersion: String(repeating: "ü", count: Limits.stringBytes / 2),
          endpoint: "", preferredRank: .max)), []
    ),
    (.welcome(Welcome(node: NodeID(.max), rank: Int(Int32.max))), [Frame(copying: [UInt8]())]),
    (.refusal(Refusal(reason: "")), []),
    (
      .view(
        View(
          number: 1, resumeTurn: 0, workers: [], fcNodes: [],
          dataset: DatasetFacts(
            trainingExamples: 0, evaluationExamples: 0, fingerprint: 0))), []
    ),
    (
      .view(
        View(
          number: .max, resumeTurn: largestCounter,
          workers: (0..<1000).map {
            Member(
              node: NodeID(UInt32($0) + 1), incarnation: .max, name: NodeName(.worker, $0),
              endpoint: "")
          }, fcNodes: [],
          dataset: DatasetFacts(
            trainingExamples: largestCounter, evaluationExamples: largestCounter,
            fingerprint: .max), skippedTurns: largestCounter)), []
    ),
    (
      .fault(Fault(turn: largestCounter, culprit: NodeID(.max), depth: largestNumber, what: "")),
      []
    ),
    (
      .heartbeat(
        Heartbeat(
          ready: false, dataset: nil, turn: 0, phase: "", millisecondsSinceProgress: 0,
          telemetry: Telemetry(), waits: [])), []
    ),
    (
      .heartbeat(
        Heartbeat(
          ready: false, dataset: nil, turn: largestCounter, phase: "",
          millisecondsSinceProgress: largestCounter,
          telemetry: Telemetry(
            bytesSent: largestCounter, bytesReceived: largestCounter,
            residentBytes: largestCounter, droppedMessages: largestCounter,
            largestGapMilliseconds: .greatestFiniteMagnitude,
            loaderImagesPerSecond: .greatestFiniteMagnitude,
            takenImagesPerSecond: .greatestFiniteMagnitude, brokenExamples: largestCounter),
          waits: (0..<3000).map { _ in Wait(owner: .own(""), what: "", milliseconds: 0) })), []
    ),
    (.advance(Advance(turn: 0)), []),
    (.advance(Advance(turn: largestCounter)), []),
    (.stop(Stop(outcome: .finished, reason: "")), []),
    (
      .drill(
        Drill(
          kind: .diskFull, milliseconds: Drill.longestMilliseconds, percent: 100,
          latencyMilliseconds: Drill.longestLatencyMilliseconds)), []
    ),
    (.stop(Stop(outcome: .failed, reason: "")), []),
    (.push(Push(turn: 0, chunk: 0)), [floats(1)]),
    (.push(Push(turn: largestCounter, chunk: largestNumber)), [floats(Limits.frameBytes / 4)]),
    (.push(Push(turn: 0, chunk: nil)), []),
    (.parameters(Parameters(version: 0, chunk: 0)), [floats(1)]),
    (
      .featureGradients(
        FeatureGradients(
          turn: 0, subBatch: 0,
          block: RowBlock(firstRow: largestNumber - 1, rows: 1, columns: Limits.frameBytes / 4))),
      [floats(Limits.frameBytes / 4)]
    ),
    (
      .exchange(Exchange(turn: 0, subBatch: largestNumber, index: largestNumber)),
      Array(repeating: floats(1), count: Limits.frames)
    ),
    (
      .report(Report(turn: 0, subBatch: 0, lossSum: .infinity, examples: 0)),
      [Frame(copying: [Int32](arrayLiteral: -1))]
    ),
    (
      .slice(
        Slice(
          transfer: 4, number: largestNumber, part: .velocity, key: largestNumber,
          firstRow: largestNumber - 1, rows: 1, firstColumn: largestNumber - 1, columns: 1,
          isLast: false)), [floats(1)]
    ),
  ]

  static let header = Header(
    run: 0xfeed_face_cafe_f00d, view: 3, sender: NodeID(6), incarnation: 0x0102_0304_0506_0708)

  static let headers = [
    header, Header(run: 0, view: 0, sender: .server, incarnation: 0),
    Header(run: .max, view: .max, sender: NodeID(.max), incarnation: .max),
  ]

  /// A drill of each kind.
  static let drills = Drill.Kind.allCases.map { (Body.drill(Drill(kind: $0)), [Frame]()) }

  static let ordinaryMessages = (ordinary + drills).map { Message(header, $0.0, frames: $0.1) }
  static let messages = ordinaryMessages + extreme.map { Message(header, $0.0, frames: $0.1) }
}
