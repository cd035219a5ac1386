package import Configuration
import Coordination
import Messages
import Network
import Tensors
import Training

/// Feeds what a node's flight recorder has kept to a core of the same kind, and compares what that
/// core decides with what the node did.
///
/// Computations are taken for done when they were; instead of tensors there are zeros, which no
/// decision depends on. A worker or FC node begins anew with the first view in the ring; a server
/// must be there from its beginning, since nothing in the middle says all that it knows.
package struct FlightReplay {
  /// Words beside the operations that change what a core asks for after a view: whether a worker
  /// had to plan memory, and the gradient that an FC node still had to apply.
  static let configure = "configure"
  static let apply = "apply"
  /// What the server's recorder notes first of a run that was under way before.
  static let goesOn = "goes on"

  /// What came of a replay.
  package struct Finding: Hashable, Sendable {
    /// Decisions that were the same, one after the other.
    package var agreeing = 0
    /// The first difference; `nil` if there was none.
    package var difference: String?
    /// Why there was nothing, or not all, to replay.
    package var hindrance: String?
  }

  private let ring: FlightRing
  private let configuration: RunConfiguration
  private var finding = Finding()
  /// What the node did and the replay did not yet, with the times, and the other way round.
  private var recorded: [(what: String, time: UInt64)] = []
  private var replayed: [String] = []

  private init(_ ring: FlightRing, _ configuration: RunConfiguration) {
    self.ring = ring
    self.configuration = configuration
  }

  /// Replays a ring.
  ///
  /// - Parameter configuredAt: when the run got this configuration, microseconds since 1970: what the
  ///   node did before went by another.
  package static func run(
    _ ring: FlightRing, _ configuration: RunConfiguration, configuredAt: UInt64 = 0
  ) -> Finding {
    // A copy of a run is as new as itself, and may still be of this configuration.
    let isOlder = (ring.records.last?.time ?? 0) &+ ring.clockOffset < configuredAt
    if isOlder, goesBeyond(configuration, ring) { return Finding(hindrance: isOfAnother) }
    var replay = FlightReplay(
      isOlder || ring.name.hasPrefix("server") ? ring : ring.since(configuredAt), configuration)
    if ring.name.hasPrefix("worker") {
      replay.replayMember(make: Self.worker, outcome: Self.outcome) { record in
        record.kind == .hopeless ? .hopeless(record.text) : .failed(record.text)
      }
    } else if ring.name.hasPrefix("fc") {
      replay.replayMember(make: Self.fcNode, outcome: Self.outcome) { record in
        record.kind == .hopeless ? nil : .failed(record.text)
      }
    } else if ring.name.hasPrefix("shard") {
      replay.finding.hindrance = "a server shard's decisions are not replayed"
    } else {
      replay.replayServer()
    }
    if isOlder, replay.finding.difference != nil {
      replay.finding.difference = nil
      replay.finding.hindrance = isOfAnother
    }
    return replay.finding
  }

  // MARK: Comparing

  private mutating func did(_ record: FlightRecord) {
    guard let message = FlightMessage.decode(record), let what = FlightMessage.decision(message)
    else { return }
    recorded.append((what, record.time))
    compare()
  }

  private mutating func would(_ message: Message) {
    guard let what = FlightMessage.decision(message) else { return }
    replayed.append(what)
    compare()
  }

  private mutating func compare() {
    guard finding.difference == nil, let did = recorded.first, let would = replayed.first else {
      return
    }
    guard did.what == would else {
      finding.difference =
        "at \(FlightTimeline.clock(did.time &+ ring.clockOffset)) it did"
        + " \"\(did.what)\", the replay \"\(would)\""
      return
    }
    finding.agreeing += 1
    recorded.removeFirst()
    replayed.removeFirst()
  }

  /// Another life of the node begins: what its last one had not done yet it never did.
  private mutating func restart() {
    recorded = []
    replayed = []
  }

  /// The run's plan for as many FC nodes as a view has: they may have been cut anew.
  private func context(_ view: View) -> RunContext? {
    var configuration = configuration
    configuration.cluster.fcNodes = view.fcNodes.count
    guard !view.fcNodes.isEmpty else { return nil }
    return try? RunContext(configuration)
  }

  // MARK: Members

  /// What a member must know before the first view of a life: who it is, what came early for the
  /// view, and with which operation it went on.
  private struct Beginning {
    let view: View
    let context: RunContext
    let identity: Header
    let serverIncarnation: UInt64
    let early: [Message]
    let firstOperation: UInt64
    let isConfigured: Bool
  }

  /// Finds the beginning at record `index`, which holds a view.
  private func beginning(at index: Int, _ message: Message, _ early: [Message]) -> Beginning? {
    guard case .view(let view) = message.body, let context = context(view) else { return nil }
    let own = ring.records[index...].lazy.compactMap { record -> Header? in
      guard record.kind == .sent, let header = FlightMessage.decode(record)?.header,
        header.run == message.header.run, header.sender != .server
      else { return nil }
      return header
    }.first
    guard let own else { return nil }
    let asked = ring.records[index...].lazy.filter { $0.kind == .asked && $0.text != Self.apply }
      .first
    return Beginning(
      view: view, context: context, identity: own, serverIncarnation: message.header.incarnation,
      early: early.filter { $0.header.view == view.number },
      firstOperation: asked?.number ?? 0, isConfigured: asked?.text != Self.configure)
  }

  /// Feeds the ring to a core of a member's kind.
  ///
  /// - Parameters:
  ///   - make: the core at a beginning; `nil` where the node cannot have begun.
  ///   - outcome: what is taken to have come of an operation.
  ///   - failure: the same for one that failed; `nil` where none can have failed so.
  private mutating func replayMember<Core: MemberCore>(
    make: (Beginning, _ now: UInt64) -> Core?,
    outcome: (Core.Operation, Beginning, FlightRecord) -> Core.Outcome,
    failure: (FlightRecord) -> Core.Outcome?
  ) {
    var core: Core?
    var start: Beginning?
    var operations: [UInt64: Core.Operation] = [:]
    var early: [Message] = []
    func take(_ event: Core.Event, _ time: UInt64, _ replay: inout FlightReplay) {
      for directive in core?.handle(event, now: time) ?? [] {
        switch directive {
        case .send(let message, _): replay.would(message)
        case .compute(let id, let operation): operations[id.value] = operation
        default: break
        }
      }
    }
    for (index, record) in ring.records.enumerated() {
      let id = OperationID(record.number)
      switch record.kind {
      case .sent: if core != nil { did(record) }
      case .received:
        guard let message = FlightMessage.decode(record) else { continue }
        if case .welcome = message.body {
          core = nil
          early = []
          restart()
          continue
        }
        if core == nil {
          guard let beginning = beginning(at: index, message, early),
            let made = make(beginning, record.time)
          else {
            early.append(message)
            continue
          }
          core = made
          start = beginning
          early = []
          for message in beginning.early { take(.message(message), record.time, &self) }
        }
        take(.message(message), record.time, &self)
      case .computed, .notFinite:
        guard let operation = operations.removeValue(forKey: record.number), let start else {
          continue
        }
        take(.computed(id, outcome(operation, start, record)), record.time, &self)
      case .failed, .hopeless:
        guard let outcome = failure(record) else { continue }
        take(.computed(id, outcome), record.time, &self)
      case .leave: take(.leave(reason: record.text), record.time, &self)
      case .drained: take(.drained, record.time, &self)
      default: break
      }
    }
    if core == nil { finding.hindrance = "no view in it to begin with" }
  }

  private static func worker(_ start: Beginning, _ now: UInt64) -> WorkerCore {
    let plan = start.context.plan
    let position = start.view.workers.firstIndex { $0.node == start.identity.sender } ?? 0
    let rows = plan.blocks(
      position: position, workers: max(1, start.view.workers.count), holders: start.view.holders
    ).map(\.rows.count)
    return WorkerCore(
      plan: plan, identity: start.identity, serverIncarnation: start.serverIncarnation,
      dataset: start.view.dataset,
      configuredRows: start.isConfigured ? (rows.isEmpty ? [0] : rows) : nil,
      firstOperation: start.firstOperation, now: now)
  }

  private static func outcome(
    _ operation: WorkerCore.Operation, _ start: Beginning, _ record: FlightRecord
  ) -> WorkerCore.Outcome {
    switch operation {
    case .features(_, let columns): .features(columns.map { _ in [FlightMessage.zero()] })
    case .backward(let stage, _, let isLast):
      .gradients(
        isLast ? start.context.plan.chunks.ofStage[stage].map { _ in FlightMessage.zero() } : [])
    case .configure, .load, .install, .forward, .absorb, .forgetRounding: .done
    }
  }

  private static func fcNode(_ start: Beginning, _ now: UInt64) -> FCCore? {
    let (view, context) = (start.view, start.context)
    guard let position = view.fcNodes.firstIndex(where: { $0.node == start.identity.sender })
    else { return nil }
    return FCCore(
      plan: context.plan, identity: start.identity, serverIncarnation: start.serverIncarnation,
      exchangeRowBytes: context.exchangeRowBytes(to: position),
      appliedSteps: context.plan.program(view.dataset).version(at: view.resumeTurn),
      firstOperation: start.firstOperation, now: now)
  }

  private static func outcome(
    _ operation: FCCore.Operation, _ start: Beginning, _ record: FlightRecord
  ) -> FCCore.Outcome {
    let outgoing = Array(repeating: [FlightMessage.zero()], count: start.view.fcNodes.count)
    switch operation {
    case .start: return .segment(FCCore.SegmentResult(outgoing: outgoing))
    case .segment(_, _, _, _, let deliver, let closesTurn):
      return .segment(
        FCCore.SegmentResult(
          outgoing: outgoing,
          featureGradients: (deliver ?? []).map { _ in [FlightMessage.zero()] },
          report: closesTurn ? (0, FlightMessage.zero()) : nil, notFinite: notFinite(record)))
    case .collect, .collectNext: return .slices(someSlices)
    case .gradients, .stepSubBatch, .mirror, .apply, .redraw, .place: return .done
    }
  }

  /// Who gave the number matters to the server alone.
  private static func notFinite(_ record: FlightRecord) -> FCCore.NotFinite? {
    guard record.kind == .notFinite else { return nil }
    let (depth, what) = place(record)
    return FCCore.NotFinite(depth: depth ?? 0, what: what)
  }

  /// Of a number that is not finite: the worker that gave it, or its depth, and what it is.
  private static func place(_ record: FlightRecord) -> (Int?, String) {
    let parts = record.text.split(separator: " ", maxSplits: 1)
    return (parts.first.flatMap { Int($0) }, parts.count == 2 ? String(parts[1]) : "")
  }

  /// Slices are neither kept nor compared. Whether there were more the ring says.
  private static let someSlices: [(Slice, [Frame])] = [
    (
      Slice(
        transfer: 1, number: 0, part: .value, key: 0, firstRow: 0, rows: 1, firstColumn: 0,
        columns: 1, isLast: false), []
    )
  ]

  // MARK: The server

  private mutating func replayServer() {
    guard !ring.isCut, let first = ring.records.first, first.kind == .begun else {
      finding.hindrance = "its beginning has been overwritten"
      return
    }
    let own = ring.records.lazy.filter { $0.kind == .sent }.compactMap(FlightMessage.decode).first
    guard var identity = own?.header, let context = try? RunContext(configuration) else {
      finding.hindrance = "nothing was sent"
      return
    }
    identity.view = 0
    var core = ServerCore(
      plan: context.plan, identity: identity, resumeSteps: first.number,
      goesOn: first.text == Self.goesOn, now: first.time)
    var operations: [UInt64: ServerCore.Operation] = [:]
    for record in ring.records.dropFirst() {
      var event: ServerCore.Event?
      switch record.kind {
      case .sent: did(record)
      case .received: event = FlightMessage.decode(record).map { .message($0) }
      case .computed:
        event = operations.removeValue(forKey: record.number).map {
          .computed(OperationID(record.number), outcome($0, context.plan.chunks.chunks.count))
        }
      case .failed: event = .computed(OperationID(record.number), .failed(record.text))
      case .notFinite:
        operations[record.number] = nil
        let (worker, what) = Self.place(record)
        let workers = core.view?.workers.indices ?? 0..<0
        event = .computed(
          OperationID(record.number),
          .notFinite(worker: worker.flatMap { workers.contains($0) ? $0 : nil }, what: what))
      case .wentFurtherBack:
        operations[record.number] = nil
        let (steps, why) = Self.place(record)
        event = .computed(
          OperationID(record.number),
          .wentFurtherBack(steps: UInt64(clamping: steps ?? 0), because: why))
      case .lost: event = .connectionLost(NodeID(UInt32(truncatingIfNeeded: record.number)))
      case .misbehaved:
        event = .misbehaved(
          NodeID(UInt32(truncatingIfNeeded: record.number)), reason: record.text)
      case .dismissed:
        event = .dismissed(
          NodeID(UInt32(truncatingIfNeeded: record.number)), reason: record.text)
      case .vouched: event = .vouched(incarnation: record.number, caller: record.text)
      case .leave: event = .stop(reason: record.text)
      case .slept: event = .slept(record.number)
      case .checkpointNow: event = .checkpointNow
      case .foundBest: event = .foundBest(steps: record.number)
      case .drained: event = .drained(NodeID(UInt32(truncatingIfNeeded: record.number)))
      case .checkpointed:
        event = .checkpointed(
          steps: record.number, failure: record.bytes.isEmpty ? nil : record.text)
      case .begun, .asked, .note, .hopeless: break
      }
      for event in [event, ServerCore.Event.tick].compactMap({ $0 }) {
        for directive in core.handle(event, now: record.time) {
          switch directive {
          case .send(let message, _): would(message)
          case .compute(let id, let operation): operations[id.value] = operation
          default: break
          }
        }
      }
    }
  }

  private func outcome(_ operation: ServerCore.Operation, _ chunks: Int) -> ServerCore.Outcome {
    switch operation {
    case .apply: .applied(FlightMessage.zero())
    case .snapshot: .snapshot((0..<chunks).map { _ in FlightMessage.zero() })
    case .tally: .tallied(.zero)
    case .cut: .slices(Self.someSlices)
    case .save: .saved(problem: nil)
    case .commit, .beginCheckpoint, .store, .finishCheckpoint, .rollBack: .done
    }
  }
}
