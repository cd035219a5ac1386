import Messages
import Network
import Tensors

@testable import Coordination

/// Shard 1 of 2 (node 22) on the stage, which owns chunks 1 and 2: everything said to it, and what
/// it does about it, in one line each. Heartbeats and notes are left out.
struct ShardScene {
  var core: ShardCore
  var now: Microseconds = 1000
  private var underWay: [(id: OperationID, operation: ShardCore.Operation)] = []
  let plan: RunPlan

  init(_ plan: RunPlan = Self.plan()) {
    self.plan = plan
    core = ShardCore(
      plan: plan, identity: Fixture.header(NodeID(22), view: 0),
      serverIncarnation: Fixture.serverIncarnation, rank: 1, now: 1000)
  }

  /// Two workers, two FC nodes, two parameter servers.
  static func plan() -> RunPlan {
    var plan = Fixture.plan()
    plan.shards = ShardMap(plan.chunks, count: 2)
    return plan
  }

  static func view(
    _ number: UInt32 = 1, resumeTurn: UInt64 = 0, workers: [Int] = [0, 1], isFinal: Bool = false,
    skipped: UInt64 = 0
  ) -> View {
    Fixture.view(
      number, resumeTurn: resumeTurn, workers: workers, shards: [1], isFinal: isFinal,
      skipped: skipped)
  }

  mutating func receive(
    _ body: Body, frames: [Frame] = [], from sender: NodeID = .server, view: UInt32? = nil
  ) -> [String] {
    let number = view ?? core.viewNumber
    return carryOut(
      .message(Message(Fixture.header(sender, view: number), body, frames: frames)))
  }

  mutating func enter(_ view: View) -> [String] { receive(.view(view), view: view.number) }

  mutating func push(
    _ chunk: Int, from worker: Int, turn: UInt64, value: Float = 0, values: Int? = nil,
    view: UInt32? = nil
  ) -> [String] {
    receive(
      .push(Push(turn: turn, chunk: chunk)),
      frames: [Fixture.floats(values ?? plan.chunks.chunks[chunk].range.count, value)],
      from: Fixture.member(.worker, worker).node, view: view)
  }

  /// Both workers push all that this shard owns, and the steps are computed.
  mutating func train(turn: UInt64) -> [String] {
    var said: [String] = []
    for chunk in [2, 1] {
      for worker in 0..<2 { said += push(chunk, from: worker, turn: turn) }
    }
    return said + finishAll()
  }

  mutating func finishAll() -> [String] {
    var said: [String] = []
    while !underWay.isEmpty {
      let (id, operation) = underWay.removeFirst()
      said += carryOut(.computed(id, outcome(of: operation)))
    }
    return said
  }

  /// The oldest step under way has a gradient that is not finite.
  mutating func spoil(worker: Int?) -> [String] {
    let (id, _) = underWay.removeFirst()
    return carryOut(.computed(id, .notFinite(worker: worker, what: "nan")))
  }

  mutating func leave(_ reason: String) -> [String] { carryOut(.leave(reason: reason)) }

  var waits: [String] { core.waits(now: now).map { "\($0.owner): \($0.what)" } }

  private func outcome(of operation: ShardCore.Operation) -> ShardCore.Outcome {
    switch operation {
    case .apply(let chunk, _, _):
      .applied(Fixture.floats(plan.chunks.chunks[chunk].range.count))
    case .snapshot:
      .snapshot(core.chunks.map { Fixture.floats(plan.chunks.chunks[$0].range.count) })
    case .collect(let transfer):
      .slices([
        (
          Slice(
            transfer: transfer, number: 0, part: .value, key: 0, firstRow: 0, rows: 1,
            firstColumn: 0, columns: 4, isLast: true), [Fixture.floats(4)]
        )
      ])
    case .commit, .redraw, .place: .done
    }
  }

  private mutating func carryOut(_ event: ShardCore.Event) -> [String] {
    core.handle(event, now: now).compactMap { directive in
      switch directive {
      case .send(let message, let to):
        if case .heartbeat = message.body { return nil }
        switch to {
        case .server: return "\(brief(message)) -> server"
        case .serverBulk: return "\(brief(message)) -> server, bulk"
        case .member(let node): return "\(brief(message)) -> \(node)"
        }
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

extension ShardCore.Operation {
  var brief: String {
    switch self {
    case .apply(let chunk, let gradients, let step):
      "apply chunk \(chunk) at step \(step) from "
        + gradients.map { "\($0.floats.first ?? -1)" }.joined(separator: " ")
    case .commit(let step): "commit step \(step)"
    case .snapshot(let worker, let version): "snapshot of version \(version) for \(worker)"
    case .collect(let transfer): "collect \(transfer)"
    case .redraw: "redraw"
    case .place: "place a slice"
    }
  }
}
