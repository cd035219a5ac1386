import Messages
import Network
import Tensors

@testable import Coordination

/// An FC node on the stage (fc 0, node 11): everything said to it, and what it does about it, in
/// one line each. Heartbeats and notes are left out.
struct FCScene {
  var core: FCCore
  var now: Microseconds = 1000
  private var underWay: [(id: OperationID, operation: FCCore.Operation)] = []
  let plan: RunPlan
  /// Whether there is more to hand in than goes out at once.
  var handsInParts = false
  /// What the last segments find.
  var notFinite: FCCore.NotFinite?

  init(_ plan: RunPlan = Fixture.plan()) {
    self.plan = plan
    // Exchange e from position j holds e + j + 1 values: every one has a size of its own.
    let bytes = (0..<plan.trainingSegments - (plan.mirrorsFC ? 0 : 1)).map { exchange in
      (0..<plan.fcNodesWanted).map { (exchange + $0 + 1) * 4 }
    }
    core = FCCore(
      plan: plan, identity: Fixture.header(NodeID(11), view: 0),
      serverIncarnation: Fixture.serverIncarnation, exchangeRowBytes: bytes, now: 1000)
  }

  mutating func send(_ message: Message) -> [String] { carryOut(.message(message)) }

  mutating func receive(
    _ body: Body, frames: [Frame] = [], from sender: NodeID = .server, view: UInt32? = nil
  ) -> [String] {
    let number = view ?? core.viewNumber
    return send(Message(Fixture.header(sender, view: number), body, frames: frames))
  }

  mutating func enter(_ view: View) -> [String] { receive(.view(view), view: view.number) }

  mutating func features(
    of worker: Int, turn: UInt64, subBatch: Int = 0, rows: Range<Int>, columns: Int = 2,
    labels: Int? = nil,
    values: Int? = nil, view: UInt32? = nil
  ) -> [String] {
    let block = RowBlock(firstRow: rows.lowerBound, rows: rows.count, columns: columns)
    return receive(
      .activations(Activations(turn: turn, subBatch: subBatch, block: block)),
      frames: [
        Fixture.integers(labels ?? rows.count), Fixture.floats(values ?? rows.count * columns),
      ], from: Fixture.member(.worker, worker).node, view: view)
  }

  /// Both workers' halves of the batch.
  mutating func allFeatures(turn: UInt64) -> [String] {
    features(of: 0, turn: turn, rows: 0..<2) + features(of: 1, turn: turn, rows: 2..<4)
  }

  mutating func exchange(
    _ index: Int, from fc: Int = 1, turn: UInt64, subBatch: Int = 0, values: Int? = nil,
    view: UInt32? = nil
  ) -> [String] {
    receive(
      .exchange(Exchange(turn: turn, subBatch: subBatch, index: index)),
      frames: [Fixture.floats(values ?? (index + fc + 1) * plan.subBatches[subBatch].count)],
      from: Fixture.member(.fc, fc).node,
      view: view)
  }

  /// The whole turn, from features to gradients, in the best order.
  mutating func run(turn: UInt64) -> [String] {
    var said = allFeatures(turn: turn)
    let isTraining = plan.program(Fixture.facts)[turn].isTraining
    let exchanges = (isTraining ? plan.trainingSegments : plan.evaluationSegments) - 1
    for index in 0..<exchanges {
      said += finishAll()
      said += exchange(index, turn: turn)
    }
    return said + finishAll()
  }

  /// The oldest computation under way ends well.
  mutating func finish() -> [String] {
    guard !underWay.isEmpty else { return ["nothing to finish"] }
    let (id, operation) = underWay.removeFirst()
    return carryOut(.computed(id, outcome(of: operation)))
  }

  mutating func finishAll() -> [String] {
    var said: [String] = []
    while !underWay.isEmpty { said += finish() }
    return said
  }

  mutating func fail(_ reason: String) -> [String] {
    let (id, _) = underWay.removeFirst()
    return carryOut(.computed(id, .failed(reason)))
  }

  mutating func leave(_ reason: String) -> [String] { carryOut(.leave(reason: reason)) }

  mutating func drained() -> [String] { carryOut(.drained) }

  mutating func tick() -> [FCCore.Directive] { core.handle(.tick, now: now) }

  var waits: [String] { core.waits(now: now).map { "\($0.owner): \($0.what)" } }

  private func outcome(of operation: FCCore.Operation) -> FCCore.Outcome {
    let outgoing = (0..<plan.fcNodesWanted).map { $0 == 0 ? [] : [Fixture.floats(1)] }
    switch operation {
    case .start: return .segment(FCCore.SegmentResult(outgoing: outgoing))
    case .segment(_, _, _, let isLast, let deliver, _):
      guard isLast else { return .segment(FCCore.SegmentResult(outgoing: outgoing)) }
      return .segment(
        FCCore.SegmentResult(
          outgoing: plan.mirrorsFC && deliver != nil ? outgoing : [],
          featureGradients: (deliver ?? []).map { [Fixture.floats($0.count * 2)] },
          report: (lossSum: 1, counts: Fixture.integers(plan.globalBatch)), notFinite: notFinite))
    case .gradients, .stepSubBatch, .mirror, .apply, .redraw, .place: return .done
    case .collectNext:
      let last = Slice(
        transfer: 0, number: 2, part: .value, key: 0, firstRow: 2, rows: 1, firstColumn: 0,
        columns: 2, isLast: true)
      return .slices([(last, [Fixture.floats(2)])])
    case .collect(let transfer, _):
      let piece = Slice(
        transfer: transfer, number: 0, part: .value, key: 0, firstRow: 0, rows: 1, firstColumn: 0,
        columns: 2, isLast: false)
      var last = piece
      last.number = 1
      last.firstRow = 1
      last.isLast = !handsInParts
      return .slices([(piece, [Fixture.floats(2)]), (last, [Fixture.floats(2)])])
    }
  }

  private mutating func carryOut(_ event: FCCore.Event) -> [String] {
    core.handle(event, now: now).compactMap { directive in
      switch directive {
      case .send(let message, let to):
        if case .heartbeat = message.body { return nil }
        return "\(brief(message)) -> \(to.brief)"
      case .compute(let id, let operation):
        underWay.append((id, operation))
        return operation.brief
      case .meet(let members): return "meet \(members.map { "\($0.name)" }.joined(separator: ", "))"
      case .note: return nil
      case .exit(let stop): return "exit, \(stop.outcome): \(stop.reason)"
      }
    }
  }
}

extension FCCore.Operation {
  var brief: String {
    switch self {
    case .start(let pass, let subBatch, let blocks):
      "\(subBatch == 0 ? "" : "sub-batch \(subBatch): ")\(pass.isTraining ? "train" : "evaluate") \(pass.examples) at step \(pass.step): "
        + blocks.map(\.rows.brief).joined(separator: " ")
    case .segment(let index, let subBatch, let received, let isLast, let deliver, _):
      "\(subBatch == 0 ? "" : "sub-batch \(subBatch): ")segment \(index) with \(received.map { "\($0.count)" }.joined(separator: " "))"
        + (isLast ? ", the last" : "")
        + (deliver.map { ", for \($0.map(\.brief).joined(separator: " "))" } ?? "")
    case .gradients: "gradients"
    case .stepSubBatch(let step, let subBatch): "step \(step) of sub-batch \(subBatch)"
    case .apply(let step): "apply step \(step)"
    case .collect(let transfer, let isMirrored):
      (transfer == 0 ? "collect" : "collect for \(transfer)") + (isMirrored ? ", mirrored" : "")
    case .mirror(let step, let received): "mirror step \(step) of \(received.count) sub-batches"
    case .collectNext: "collect on"
    case .redraw: "redraw"
    case .place(let slice, _): "place row \(slice.firstRow)"
    }
  }
}
