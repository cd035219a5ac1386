import Messages
import Network
import Tensors

@testable import Coordination

/// The server on the stage: everything said to it, and what it does about it, in one line each.
/// Notes are kept apart.
///
/// Nodes get their numbers in the order of joining; after `start()` the workers are nodes 1, 2 ...
/// and the FC nodes follow them.
struct ServerScene {
  var core: ServerCore
  var now: Microseconds = 1_000_000
  var notes: [String] = []
  private var underWay: [(id: OperationID, operation: ServerCore.Operation)] = []
  let plan: RunPlan

  init(_ plan: RunPlan = Fixture.plan(), goesOn: Bool = false, resumeSteps: UInt64 = 0) {
    self.plan = plan
    core = ServerCore(
      plan: plan, identity: Fixture.header(.server, view: 0), resumeSteps: resumeSteps,
      goesOn: goesOn, now: 1_000_000)
  }

  /// Everybody joins and is ready: view 1 at turn 0, the snapshot handed out.
  static func started(_ plan: RunPlan = Fixture.plan()) -> ServerScene {
    var scene = ServerScene(plan)
    for _ in 0..<plan.workersWanted { _ = scene.join(.worker) }
    for _ in 0..<plan.fcNodesWanted { _ = scene.join(.fc) }
    for node in 1...(plan.workersWanted + plan.fcNodesWanted) { _ = scene.beat(node) }
    _ = scene.finishAll()
    return scene
  }

  // MARK: What is said to it

  mutating func join(
    _ role: Role, incarnation: UInt64? = nil, preferring rank: Int = -1, by caller: String? = nil,
    host: String = "host"
  ) -> [String] {
    joined += 1
    if let caller {
      _ = carryOut(.vouched(incarnation: incarnation ?? UInt64(joined) * 100, caller: caller))
    }
    let join = Join(
      role: role, host: host, processID: 1, softwareVersion: "1", endpoint: "",
      preferredRank: Int32(rank))
    let header = Header(
      run: 0, view: 0, sender: NodeID(0), incarnation: incarnation ?? UInt64(joined) * 100)
    return carryOut(.message(Message(header, .join(join))))
  }
  private var joined = 0

  mutating func receive(
    _ body: Body, frames: [Frame] = [], from node: Int, view: UInt32? = nil
  ) -> [String] {
    let number = view ?? core.view?.number ?? 0
    let header = Fixture.header(NodeID(UInt32(node)), view: number)
    return send(Message(header, body, frames: frames))
  }

  mutating func send(_ message: Message) -> [String] { carryOut(.message(message)) }

  mutating func beat(
    _ node: Int, ready: Bool = true, dataset: DatasetFacts? = Fixture.facts, restored: UInt32 = 0,
    phase: String = "data", waits: [Wait] = [], heldGroups: [Int] = []
  ) -> [String] {
    let beat = Heartbeat(
      ready: ready, dataset: dataset, restored: restored, turn: 0, phase: phase,
      millisecondsSinceProgress: 0, telemetry: Telemetry(), waits: waits, heldGroups: heldGroups)
    return receive(.heartbeat(beat), from: node)
  }

  mutating func push(
    _ chunk: Int, from node: Int, turn: UInt64, value: Float = 0, values: Int? = nil,
    view: UInt32? = nil
  ) -> [String] {
    receive(
      .push(Push(turn: turn, chunk: chunk)),
      frames: [Fixture.floats(values ?? plan.chunks.chunks[chunk].range.count, value)],
      from: node, view: view)
  }

  mutating func done(from node: Int, turn: UInt64) -> [String] {
    receive(.push(Push(turn: turn, chunk: nil)), from: node)
  }

  mutating func report(
    from node: Int, turn: UInt64, examples: Int = 4, rows: Int = 4, view: UInt32? = nil
  ) -> [String] {
    let report = Report(turn: turn, subBatch: 0, lossSum: 2, examples: examples)
    return receive(.report(report), frames: [Fixture.integers(rows)], from: node, view: view)
  }

  mutating func slice(
    from node: Int, transfer: UInt32 = 0, number: Int = 0, part: Slice.Part = .value,
    column: Int = 0,
    columns: Int = 2, isLast: Bool = true
  ) -> [String] {
    let slice = Slice(
      transfer: transfer, number: number, part: part, key: 0, firstRow: 0, rows: 1,
      firstColumn: column,
      columns: columns, isLast: isLast)
    return receive(.slice(slice), frames: [Fixture.floats(columns)], from: node)
  }

  mutating func fault(
    from node: Int, turn: UInt64, culprit: Int? = nil, depth: Int = 1,
    what: String = "the loss is nan"
  ) -> [String] {
    let culprit = NodeID(UInt32(culprit ?? node))
    return receive(
      .fault(Fault(turn: turn, culprit: culprit, depth: depth, what: what)), from: node)
  }

  mutating func leave(_ node: Int) -> [String] {
    receive(.leave(Leave(reason: "asked to")), from: node)
  }

  mutating func loseConnection(_ node: Int) -> [String] {
    carryOut(.connectionLost(NodeID(UInt32(node))))
  }

  mutating func misbehave(_ node: Int) -> [String] {
    carryOut(.misbehaved(NodeID(UInt32(node)), reason: "nonsense"))
  }

  mutating func dismiss(_ node: Int, _ reason: String) -> [String] {
    carryOut(.dismissed(NodeID(UInt32(node)), reason: reason))
  }

  mutating func foundBest(steps: UInt64) -> [String] { carryOut(.foundBest(steps: steps)) }

  mutating func checkpointed(steps: UInt64, failure: String? = nil) -> [String] {
    carryOut(.checkpointed(steps: steps, failure: failure))
  }

  mutating func checkpointNow() -> [String] { carryOut(.checkpointNow) }

  mutating func stop() -> [String] { carryOut(.stop(reason: "asked to")) }

  /// Lets time pass in which the server does not run.
  mutating func standStill(milliseconds: UInt64) -> [String] {
    now += milliseconds * 1000
    return carryOut(.slept(milliseconds * 1000))
  }

  /// Lets time pass, and ticks at its end.
  mutating func wait(milliseconds: UInt64) -> [String] {
    now += milliseconds * 1000
    return carryOut(.tick)
  }

  // MARK: Computation

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

  mutating func fail(_ reason: String) -> [String] { finish(with: .failed(reason)) }

  /// The oldest computation under way ends so.
  mutating func finish(with outcome: ServerCore.Outcome) -> [String] {
    let (id, _) = underWay.removeFirst()
    return carryOut(.computed(id, outcome))
  }

  /// The two workers (nodes 1 and 2) push everything, and the steps are computed.
  mutating func train(turn: UInt64, workers: [Int] = [1, 2]) -> [String] {
    var said: [String] = []
    for chunk in plan.chunks.chunks.indices.reversed() {
      for worker in workers { said += push(chunk, from: worker, turn: turn) }
    }
    return said + finishAll()
  }

  /// The two workers are done, both FC nodes (nodes 3 and 4) report.
  mutating func evaluate(turn: UInt64, examples: Int) -> [String] {
    tallied = examples
    var said = done(from: 1, turn: turn) + done(from: 2, turn: turn)
    said += report(from: 3, turn: turn) + report(from: 4, turn: turn)
    return said + finishAll()
  }
  private var tallied = 4

  var waits: [String] { core.waits(now: now).map { "\($0.owner): \($0.what)" } }

  private func outcome(of operation: ServerCore.Operation) -> ServerCore.Outcome {
    switch operation {
    case .apply(let chunk, _, _):
      .applied(Fixture.floats(plan.chunks.chunks[chunk].range.count))
    case .snapshot: .snapshot(plan.chunks.chunks.map { Fixture.floats($0.range.count) })
    case .tally: .tallied(Tally(examples: tallied, lossSum: 2, top1: 1, top5: 3))
    case .cut(_, let transfer, _):
      .slices([
        (
          Slice(
            transfer: transfer, number: 0, part: .value, key: 0, firstRow: 0, rows: 1,
            firstColumn: 0, columns: 2, isLast: true), [Fixture.floats(2)]
        )
      ])
    case .save: .saved(problem: nil)
    case .commit, .store, .beginCheckpoint, .finishCheckpoint, .rollBack: .done
    }
  }

  private mutating func carryOut(_ event: ServerCore.Event) -> [String] {
    core.handle(event, now: now).compactMap { directive in
      switch directive {
      case .send(let message, let to): return "\(brief(message)) -> \(to)"
      case .welcome(let node, _): return "welcome \(node)"
      case .refuse(let incarnation, let reason, _): return "refuse \(incarnation): \(reason)"
      case .compute(let id, let operation):
        underWay.append((id, operation))
        return operation.brief
      case .committed(let record): return "committed turn \(record.turn)"
      case .skipped(let turn, let step, _): return "skipped turn \(turn), step \(step)"
      case .measured(_, let step, let tally): return "measured \(tally.examples) at step \(step)"
      case .evaluated(let step, let tally):
        return "evaluated \(tally.examples) after \(step) steps"
      case .note(let text):
        notes.append(text)
        return nil
      case .recut(let count): return "recut among \(count)"
      case .exit(let stop): return "exit, \(stop.outcome): \(stop.reason)"
      }
    }
  }
}

extension ServerCore.Operation {
  var brief: String {
    switch self {
    case .apply(let chunk, let gradients, let step):
      "apply chunk \(chunk) at step \(step) from "
        + gradients.map { "\($0.floats.first ?? -1)" }.joined(separator: " ")
    case .commit(let step): "commit step \(step)"
    case .snapshot: "snapshot"
    case .tally(let counts, _): "tally of \(counts.count)"
    case .store: "store a slice"
    case .save(let steps): "save after \(steps) steps"
    case .beginCheckpoint(let steps): "begin the checkpoint after \(steps) steps"
    case .finishCheckpoint(let steps): "write the checkpoint after \(steps) steps"
    case .rollBack(let steps): "roll back to \(steps) steps"
    case .cut(let name, _, let first):
      "cut slice \(name.rank)" + (first == 0 ? "" : " from piece \(first)")
    }
  }
}
