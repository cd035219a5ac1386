import Messages
import Network
import Tensors

@testable import Coordination

/// Worker 0 (node 1) on the stage: everything said to it, and what it does about it, in one line
/// each. Heartbeats and notes are left out.
struct WorkerScene {
  var core: WorkerCore
  var now: Microseconds = 1000
  private var underWay: [(id: OperationID, operation: WorkerCore.Operation)] = []
  let plan: RunPlan

  init(_ plan: RunPlan = Fixture.plan()) {
    self.plan = plan
    core = WorkerCore(
      plan: plan, identity: Fixture.header(NodeID(1), view: 0),
      serverIncarnation: Fixture.serverIncarnation, dataset: Fixture.facts, now: 1000)
  }

  mutating func send(_ message: Message) -> [String] { carryOut(.message(message)) }

  mutating func receive(
    _ body: Body, frames: [Frame] = [], from sender: NodeID = .server, view: UInt32? = nil
  ) -> [String] {
    let number = view ?? core.viewNumber
    return send(Message(Fixture.header(sender, view: number), body, frames: frames))
  }

  mutating func enter(_ view: View) -> [String] { receive(.view(view), view: view.number) }

  mutating func parameters(
    _ chunk: Int, version: UInt64, view: UInt32? = nil, values: Int? = nil,
    from sender: NodeID = .server
  ) -> [String] {
    let count = values ?? plan.chunks.chunks[chunk].range.count
    return receive(
      .parameters(Parameters(version: version, chunk: chunk)), frames: [Fixture.floats(count)],
      from: sender, view: view)
  }

  /// All chunks of a version, in order.
  mutating func allParameters(version: UInt64) -> [String] {
    plan.chunks.chunks.indices.flatMap { parameters($0, version: version) }
  }

  mutating func gradients(
    from fc: Int, turn: UInt64, subBatch: Int = 0, rows: Range<Int> = 0..<2,
    values: Int? = nil
  ) -> [String] {
    let columns = plan.featureSlices[fc].count
    let block = RowBlock(firstRow: rows.lowerBound, rows: rows.count, columns: columns)
    return receive(
      .featureGradients(FeatureGradients(turn: turn, subBatch: subBatch, block: block)),
      frames: [Fixture.floats(values ?? rows.count * columns)],
      from: Fixture.member(.fc, fc).node)
  }

  /// The oldest computation under way ends well.
  mutating func finish() -> [String] {
    guard !underWay.isEmpty else { return ["nothing to finish"] }
    let (id, operation) = underWay.removeFirst()
    return carryOut(.computed(id, outcome(of: operation)))
  }

  /// Ends computations until `count` are done.
  mutating func finish(_ count: Int) -> [String] { (0..<count).flatMap { _ in finish() } }

  mutating func fail(_ reason: String) -> [String] {
    let (id, _) = underWay.removeFirst()
    return carryOut(.computed(id, .failed(reason)))
  }

  mutating func despair(_ reason: String) -> [String] {
    let (id, _) = underWay.removeFirst()
    return carryOut(.computed(id, .hopeless(reason)))
  }

  mutating func leave(_ reason: String) -> [String] { carryOut(.leave(reason: reason)) }

  mutating func tick() -> [WorkerCore.Directive] { core.handle(.tick, now: now) }

  var waits: [String] {
    core.waits(now: now).map { "\($0.owner): \($0.what)" }
  }

  private func outcome(of operation: WorkerCore.Operation) -> WorkerCore.Outcome {
    switch operation {
    case .features(_, let columns):
      .features(columns.map { [Fixture.integers(2), Fixture.floats(2 * $0.count)] })
    case .backward(_, _, isLast: false): .gradients([])
    case .backward(let stage, _, _):
      .gradients(
        plan.chunks.ofStage[stage].map { Fixture.floats(plan.chunks.chunks[$0].range.count) })
    default: .done
    }
  }

  private mutating func carryOut(_ event: WorkerCore.Event) -> [String] {
    core.handle(event, now: now).compactMap { directive in
      switch directive {
      case .send(let message, let to):
        if case .heartbeat = message.body { return nil }
        return "\(brief(message)) -> \(to.brief)"
      case .compute(let id, let operation):
        underWay.append((id, operation))
        return operation.brief
      case .own(.prefetch(let span)): return "prefetch \(span.brief)"
      case .own(.dropPrefetched): return "forget what was prefetched"
      case .meet(let members): return "meet \(members.map { "\($0.name)" }.joined(separator: ", "))"
      case .note: return nil
      case .exit(let stop): return "exit, \(stop.outcome): \(stop.reason)"
      }
    }
  }
}

extension Destination {
  var brief: String {
    switch self {
    case .server: "server"
    case .serverBulk: "server, bulk"
    case .member(let node): "\(node)"
    }
  }
}

extension WorkerCore.BatchSpan {
  var brief: String { "\(isTraining ? "training" : "evaluation") \(firstPosition)+\(rows)" }
}

extension WorkerCore.Operation {
  var brief: String {
    switch self {
    case .configure(let rows):
      "configure \(rows.map { "\($0)" }.joined(separator: " + ")) rows"
    case .load(let span, _): "load \(span.brief)"
    case .install(let stage, let chunks): "install stage \(stage) from \(chunks.count)"
    case .forward(let stage, let block): "forward \(stage)\(of(block))"
    case .features(let block, let columns):
      "features \(columns.map(\.brief).joined(separator: " "))\(of(block))"
    case .forgetRounding(let step): "forget the rounding of step \(step)"
    case .absorb(let block, let gradients, _): "absorb \(gradients.count)\(of(block))"
    case .backward(let stage, let block, _): "backward \(stage)\(of(block))"
    }
  }

  /// Nothing for the first block, which is the only one of most scenes.
  private func of(_ block: Int) -> String { block == 0 ? "" : " of block \(block)" }
}
