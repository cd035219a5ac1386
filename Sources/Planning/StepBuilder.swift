import Network
import Tensors

/// Lays the tasks of steps out; what a worker, an FC node and the server do follows their cores.
struct StepBuilder {
  var graph = TaskGraph()
  /// The task that ends each step.
  var commits: [Int] = []
  /// Bytes of a step over the busiest direction of the busiest link.
  var busiestLinkBytes = 0

  private let shape: ClusterShape
  private let speeds: Speeds
  private let stages: [ConvolutionalStage]
  private let cut: DenseCut
  private let features: Int
  /// Of the conv parameters, what the shard with most of them owns.
  private let shardShare: Double
  /// Each stage's newest parameters, the FC weights' update.
  private var installed: [Int?]
  private var applied: Int?

  let resources: ClusterResources
  private typealias Load = ClusterResources.Load
  private typealias Queue = ClusterResources.Queue
  /// The next step's examples.
  private var prepared: Int?

  init(_ plan: NetworkPlan, _ shape: ClusterShape, _ speeds: Speeds) {
    self.shape = shape
    self.speeds = speeds
    stages = plan.stages
    cut = DenseCut(plan, nodes: shape.fcNodes)
    features = plan.features
    installed = Array(repeating: nil, count: stages.count)
    let owned = ShardMap(
      ChunkTable(stages: stages, maximumElements: shape.chunkElements), count: shape.serverShards
    ).elements
    let all = owned.reduce(0, +)
    shardShare = all == 0 ? 1 : Double(owned.max() ?? all) / Double(all)
    resources = ClusterResources(shape, speeds)
    busiestLinkBytes = {
      let busiest = Traffic(plan, shape).busiest
      return max(busiest.sent, busiest.received)
    }()
  }

  /// A part of the batch that goes through the FC nodes as one.
  private struct Lane {
    let rows: Int
    /// The block of the followed worker that is ready when this lane's senders are.
    let block: Int
    /// Rows of the followed worker in it.
    let own: Int
  }

  private var lanes: [Lane] {
    let parts = min(shape.subBatches, shape.globalBatch)
    let rows = Partition(count: shape.globalBatch, parts: parts)
    switch shape.schedule {
    case .gathered: return [Lane(rows: shape.globalBatch, block: 0, own: shape.share)]
    case .scattered:
      return rows.ranges.enumerated().map { index, range in
        Lane(
          rows: range.count, block: index,
          own: max(1, (range.count + shape.workers - 1) / shape.workers))
      }
    case .roundRobin:
      let dealt = Partition(count: parts, parts: shape.workers)
      // The last worker that has any: its gradients come last.
      let last = min(shape.workers, parts) - 1
      return rows.ranges.enumerated().map { index, range in
        let owner = dealt.owner(of: index)
        return Lane(
          rows: range.count,
          block: min(index - dealt[owner].lowerBound, dealt[last].count - 1),
          own: owner == last ? range.count : 0)
      }
    }
  }

  /// Fraction of a worker's features that leaves its machine, and of what an FC node has.
  private var away: Double {
    guard shape.layout == .beside else { return 1 }
    return 1 - 1 / Double(max(shape.fcNodes, shape.workers))
  }

  /// What one node of a role computes, one piece after the other.
  private mutating func compute(
    _ role: ClusterResources.Role, _ kind: TaskGraph.Kind, _ name: String, step: Int,
    _ seconds: Double, after needs: [Int]
  ) -> Int {
    let queue: Queue =
      switch role {
      case .worker: .worker
      case .fc: .fc
      case .server: .server
      }
    return graph.add(
      kind, name, step: step, queue: queue.rawValue, resources.compute(role, seconds), after: needs)
  }

  mutating func add(_ step: Int) {
    let lanes = lanes
    let blocks = (lanes.map(\.block).max() ?? 0) + 1
    var forward: [Int] = []
    let examples = prepared
    for block in 0..<blocks {
      let rows = lanes.filter { $0.block == block }.map(\.own).max() ?? 0
      var last: [Int] = forward.suffix(1)
      for stage in stages {
        last = [
          compute(
            .worker, .convForward, "\(stage.name) forward", step: step,
            speeds.forward[stage.index].seconds(rows),
            after: last
              + (block == 0
                ? [installed[stage.index], stage.index == 0 ? examples : nil].compactMap { $0 }
                : []))
        ]
        if block == 0, stage.index == 0 { prepare(step + 1, after: last) }
      }
      // A network without conv layers: its examples are features, as soon as the step may begin.
      if stages.isEmpty {
        last = [graph.add(.convForward, "examples", step: step, [], after: last)]
      }
      forward += last
    }
    var returned: [(gradient: Int, rows: Int)] = []
    var done: [Int] = []
    var mirrored: [Int] = []
    for (index, lane) in lanes.enumerated() {
      let (last, gradient) = pass(
        lane, "sub-batch \(index)", step, after: forward[lane.block])
      done.append(last)
      if shape.mirrorsFC { mirrored.append(mirrorExchange(lane, index, step, after: last)) }
      if lane.own > 0 { returned.append((gradient, lane.own)) }
      guard shape.updatesEachSubBatch else { continue }
      // The next sub-batch reads what this one makes.
      let summed = compute(
        .fc, .fcGradients, "FC weight gradients, sub-batch \(index)", step: step,
        speeds.denseGradients.seconds(lane.rows) / Double(cut.nodes), after: [last])
      applied = compute(
        .fc, .fcUpdate, "FC update, sub-batch \(index)", step: step, updateSeconds,
        after: [summed])
    }
    if shape.updatesEachSubBatch {
      commit(returned, step, and: mirrored, after: forward[forward.count - 1])
      let updates = Double(lanes.count) * updateSeconds
      applied =
        mirror(lanes, step, besides: updates, after: mirrored + [applied].compactMap { $0 }).last
        ?? applied
      return
    }
    let gradients = compute(
      .fc, .fcGradients, "FC weight gradients", step: step,
      lanes.reduce(0) { $0 + speeds.denseGradients.seconds($1.rows) } / Double(cut.nodes),
      after: done)
    let committed = commit(returned, step, and: mirrored, after: forward[forward.count - 1])
    mirrored = mirror(lanes, step, besides: 0, after: mirrored + [gradients])
    applied = compute(
      .fc, .fcUpdate, "FC update", step: step, updateSeconds * (shape.mirrorsFC ? 2 : 1),
      after: [gradients, committed] + mirrored)
  }

  /// What the next FC node needs for its mirror of the slice, of a lane.
  private mutating func mirrorExchange(_ lane: Lane, _ index: Int, _ step: Int, after last: Int)
    -> Int
  {
    // Node 0 has the largest slices.
    let bytes = Double(4 * lane.rows * cut.mirroredColumns(of: 0))
    return graph.add(
      .exchange, "to the mirror, sub-batch \(index)", step: step,
      resources.transfer(
        [Load(.outOfFC, bytes, flows: 1), Load(.intoFC, bytes, flows: 1)],
        total: bytes * Double(cut.nodes)),
      latency: shape.latencySeconds, after: [last])
  }

  /// The gradients of the mirrored slice, and what else is done with each sub-batch; nothing without
  /// a mirror.
  private mutating func mirror(
    _ lanes: [Lane], _ step: Int, besides seconds: Double, after needs: [Int]
  ) -> [Int] {
    guard shape.mirrorsFC else { return [] }
    return [
      compute(
        .fc, .fcGradients, "the mirror's weight gradients", step: step,
        lanes.reduce(0) { $0 + speeds.denseGradients.seconds($1.rows) } / Double(cut.nodes)
          + seconds, after: needs)
    ]
  }

  /// The loader of each worker is one batch ahead.
  private mutating func prepare(_ step: Int, after needs: [Int]) {
    guard speeds.dataPerRow > 0 else { return }
    prepared = graph.add(
      .data, "preparing data", step: step, queue: Queue.loader.rawValue,
      resources.compute(.worker, speeds.dataPerRow * Double(shape.share)), after: needs)
  }

  /// Seconds in which an FC node applies one step of the optimizer.
  private var updateSeconds: Double {
    let weights = cut.layers.reduce(0) { $0 + ($1.inputs + 1) * cut.trainedOutputs(of: $1) }
    return Double(weights) / Double(cut.nodes) * speeds.updatePerValue
  }

  /// The conv layers' way from the features' gradients to the commit.
  @discardableResult
  private mutating func commit(
    _ returned: [(gradient: Int, rows: Int)], _ step: Int, and mirrored: [Int], after forward: Int
  ) -> Int {
    let updates = backward(returned, step, after: forward)
    let commit = graph.add(
      .update, "commit", step: step, [], latency: shape.latencySeconds,
      after: (updates.isEmpty ? returned.map(\.gradient) : updates) + mirrored)
    commits.append(commit)
    return commit
  }

  /// A lane's way through the FC nodes; its last segment, and its gradient at the worker.
  private mutating func pass(
    _ lane: Lane, _ name: String, _ step: Int, after ready: Int
  ) -> (last: Int, gradient: Int) {
    let a = Double(shape.wire.activations)
    let all = Double(lane.rows * features) * a
    let perNode = all * away / Double(cut.nodes)
    let ownBytes = Double(lane.own * features) * a * away
    let senders = shape.schedule == .roundRobin ? 1 : shape.workers
    // Where several servers share the parameters nobody but the coordinator knows of the commit, and
    // where FC nodes are mirrored it waits for their word.
    let allowed = shape.serverShards > 1 || shape.mirrorsFC ? commits.last : nil
    var last = graph.add(
      .features, "features, \(name)", step: step,
      resources.transfer(
        [Load(.out, ownBytes, flows: cut.nodes), Load(.intoFC, perNode, flows: senders)],
        total: all),
      latency: shape.latencySeconds, after: [ready] + [allowed].compactMap { $0 })
    let segments = cut.segmentCount(training: true)
    for segment in 0..<segments {
      last = compute(
        .fc, .fcCompute, "FC segment \(segment), \(name)", step: step,
        speeds.segments[segment].seconds(lane.rows) / Double(cut.nodes),
        after: [last] + (segment == 0 ? [applied].compactMap { $0 } : []))
      guard segment + 1 < segments, cut.nodes > 1 else { continue }
      // Node 0 has the largest slices.
      let moved = cut.moved(afterSegment: segment, rank: 0)
      let size = Double(lane.rows) * (segment == cut.layers.count ? 4 : a)
      last = graph.add(
        .exchange, "exchange \(segment), \(name)", step: step,
        resources.transfer(
          [
            Load(.outOfFC, Double(moved.sent) * size, flows: cut.nodes - 1),
            Load(.intoFC, Double(moved.received) * size, flows: cut.nodes - 1),
          ], total: Double(moved.sent * cut.nodes) * size),
        latency: shape.latencySeconds, after: [last])
    }
    let gradient = graph.add(
      .featureGradients, "feature gradients, \(name)", step: step,
      resources.transfer(
        [Load(.outOfFC, perNode, flows: senders), Load(.into, ownBytes, flows: cut.nodes)],
        total: all),
      latency: shape.latencySeconds, after: [last])
    return (last, gradient)
  }

  /// The worker's backward passes; the updates of all stages.
  private mutating func backward(
    _ returned: [(gradient: Int, rows: Int)], _ step: Int, after forward: Int
  ) -> [Int] {
    var last = forward
    var updates: [Int] = []
    for (index, block) in returned.enumerated() {
      for stage in stages.reversed() {
        last = compute(
          .worker, .convBackward, "\(stage.name) backward", step: step,
          speeds.backward[stage.index].seconds(block.rows), after: [last, block.gradient])
        guard index == returned.count - 1, stage.parameterCount > 0 else { continue }
        updates += exchange(stage, step, after: last)
      }
    }
    return updates
  }

  /// A stage's gradients to the server, its steps, its parameters back, chunk after chunk.
  private mutating func exchange(
    _ stage: ConvolutionalStage, _ step: Int, after backward: Int
  ) -> [Int] {
    // More would change nothing: each would hide what the others do.
    let count = min((stage.parameterCount + shape.chunkElements - 1) / shape.chunkElements, 8)
    let values = Double(stage.parameterCount) / Double(count)
    var updates: [Int] = []
    var parameters: [Int] = []
    for _ in 0..<count {
      let push = graph.add(
        .push, "\(stage.name) gradients", step: step, queue: Queue.toServer.rawValue,
        conv(values * Double(shape.wire.gradients), up: true), latency: shape.latencySeconds,
        after: [backward])
      let update = compute(
        // Sums of K gradients, then the optimizer; the shards at the same time.
        .server, .update, "\(stage.name) update", step: step,
        values * shardShare * speeds.updatePerValue * (0.6 * Double(shape.workers) + 1),
        after: [push])
      updates.append(update)
      parameters.append(
        graph.add(
          .parameters, "\(stage.name) parameters", step: step, queue: Queue.fromServer.rawValue,
          conv(values * Double(shape.wire.parameters), up: false), latency: shape.latencySeconds,
          after: [update]))
    }
    // They come in order.
    installed[stage.index] = parameters.last
    return updates
  }

  /// Some of a stage's gradients up or parameters down, at a worker's link and at the server's.
  private func conv(_ bytes: Double, up: Bool) -> [TaskGraph.Use] {
    let (workers, shards) = (shape.workers, shape.serverShards)
    // A shard has some of the bytes.
    let served = bytes * shardShare
    let total = bytes * Double(workers)
    let ends: (worker: ClusterResources.Link, server: ClusterResources.Link) =
      up ? (.out, .intoServer) : (.into, .outOfServer)
    guard shape.layout == .beside else {
      return resources.serve(
        [
          Load(ends.worker, bytes, flows: shards),
          Load(ends.server, Double(workers) * served, flows: workers),
        ], total: total, served: Double(workers) * served)
    }
    // Worker 0 is beside the coordinator, and where there are as many shards as workers the one that
    // is followed is beside one too: its own part does not cross, those of the others do.
    let others = Double(workers - 1) * served
    let hasShard = shards >= workers
    let away = shape.hosts == 1 ? 0 : bytes - (hasShard ? served : 0)
    let back: (worker: ClusterResources.Link, server: ClusterResources.Link) =
      up ? (.into, .outOfServer) : (.out, .intoServer)
    return resources.serve(
      [
        Load(ends.worker, away, flows: shards), Load(ends.server, others, flows: workers - 1),
        Load(back.worker, hasShard ? others : 0, flows: workers - 1),
        Load(back.server, shards > 1 ? bytes - served : 0, flows: shards - 1),
      ], total: total, served: Double(workers) * served)
  }
}
