package import Network
import Tensors

/// One training step of a cluster as it is expected to run: its time, its timeline, and what it
/// hangs on.
///
/// Workers do alike and so do FC nodes; so one of each is followed, the last worker where the
/// schedule deals whole sub-batches. Three steps run one after another; the last one counts,
/// because a step begins before the one before has ended.
package struct StepForecast: Sendable {
  /// Seconds from one commit to the next.
  package let seconds: Double
  /// Tasks of the step that counts, with times from its beginning.
  package let tasks: [TaskGraph.Task]
  /// Seconds of the step by what it hung on, in the order of the kinds.
  package let critical: [(kind: TaskGraph.Kind, seconds: Double)]
  /// Seconds a link of the busiest machine is at work.
  package let linkSeconds: Double

  /// Examples a second.
  package func imagesPerSecond(_ shape: ClusterShape) -> Double {
    Double(shape.globalBatch) / seconds
  }

  package init(_ plan: NetworkPlan, _ shape: ClusterShape, _ speeds: Speeds) {
    var builder = StepBuilder(plan, shape, speeds)
    for step in 0..<3 { builder.add(step) }
    builder.graph.run()
    let graph = builder.graph
    let (before, last) = (builder.commits[1], builder.commits[2])
    let start = graph.tasks[before].end
    seconds = max(graph.tasks[last].end - start, 1e-9)
    tasks = graph.tasks.filter { $0.end > start && $0.start < graph.tasks[last].end }.map {
      var task = $0
      task.start -= start
      task.end -= start
      return task
    }
    var sums: [TaskGraph.Kind: Double] = [:]
    for index in graph.chain(to: last) {
      let task = graph.tasks[index]
      sums[task.kind, default: 0] += max(0, task.end - max(task.start, start))
    }
    critical = TaskGraph.Kind.allCases.compactMap { kind in
      sums[kind].flatMap { $0 > 0 ? (kind: kind, seconds: $0) : nil }
    }
    let rate = shape.linkBytesPerSecond ?? .infinity
    linkSeconds = Double(builder.busiestLinkBytes) / rate
  }
}

/// Lays the tasks of steps out; what a worker, an FC node and the server do follows their cores.
private struct StepBuilder {
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

  // Cores and links. Machine 0, which has the server too, and another one have links of their own.
  private enum Core: Int { case worker, fc, server }
  private let cores: [Int]
  private let coreFactor: Double
  private enum Link: Int { case out = 3, into, outOfFC, intoFC, outOfServer, intoServer }

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
    let isSeparate = shape.layout == .separate
    cores =
      isSeparate || shape.coresPerHost >= 3
      ? [0, 1, 2]
      : shape.coresPerHost >= 2 ? [0, 1, 1] : [0, 0, 0]
    coreFactor = max(1, 1 / shape.coresPerHost)
    busiestLinkBytes = {
      let busiest = Traffic(plan, shape).busiest
      return max(busiest.sent, busiest.received)
    }()
  }

  private func compute(_ core: Core, _ seconds: Double) -> [TaskGraph.Use] {
    [TaskGraph.Use(resource: cores[core.rawValue], seconds: seconds * coreFactor)]
  }

  /// Bytes that a transfer brings to each kind of link, as link seconds.
  private func transfer(_ bytes: [Link: Double]) -> [TaskGraph.Use] {
    guard let rate = shape.linkBytesPerSecond else { return [] }
    var seconds: [Link: Double] = [:]
    for (link, count) in bytes where count > 0 {
      if shape.layout == .separate {
        seconds[link, default: 0] += count / rate
        continue
      }
      // Beside: a worker's and its FC node's bytes meet on one link, on machine 0 the server's too.
      switch link {
      case .out, .outOfFC:
        seconds[.out, default: 0] += count / rate
        seconds[.outOfServer, default: 0] += count / rate
      case .into, .intoFC:
        seconds[.into, default: 0] += count / rate
        seconds[.intoServer, default: 0] += count / rate
      case .outOfServer, .intoServer: seconds[link, default: 0] += count / rate
      }
    }
    return seconds.map { TaskGraph.Use(resource: $0.key.rawValue, seconds: $0.value) }
      .sorted { $0.resource < $1.resource }
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

  mutating func add(_ step: Int) {
    let lanes = lanes
    let blocks = (lanes.map(\.block).max() ?? 0) + 1
    var forward: [Int] = []
    for block in 0..<blocks {
      let rows = lanes.filter { $0.block == block }.map(\.own).max() ?? 0
      var last: [Int] = forward.suffix(1)
      for stage in stages {
        last = [
          graph.add(
            .convForward, "\(stage.name) forward", step: step,
            compute(.worker, speeds.forward[stage.index].seconds(rows)),
            after: last + (block == 0 ? [installed[stage.index]].compactMap { $0 } : []))
        ]
      }
      forward += last
    }
    var returned: [(gradient: Int, rows: Int)] = []
    var done: [Int] = []
    for (index, lane) in lanes.enumerated() {
      let (last, gradient) = pass(
        lane, "sub-batch \(index)", step, after: forward[lane.block])
      done.append(last)
      if lane.own > 0 { returned.append((gradient, lane.own)) }
      guard shape.updatesEachSubBatch else { continue }
      // The next sub-batch reads what this one makes.
      let summed = graph.add(
        .fcGradients, "FC weight gradients, sub-batch \(index)", step: step,
        compute(.fc, speeds.denseGradients.seconds(lane.rows) / Double(cut.nodes)), after: [last])
      applied = graph.add(
        .fcUpdate, "FC update, sub-batch \(index)", step: step, compute(.fc, updateSeconds),
        after: [summed])
    }
    if shape.updatesEachSubBatch {
      commit(returned, step, after: forward[forward.count - 1])
      return
    }
    let gradients = graph.add(
      .fcGradients, "FC weight gradients", step: step,
      compute(
        .fc,
        lanes.reduce(0) { $0 + speeds.denseGradients.seconds($1.rows) } / Double(cut.nodes)),
      after: done)
    let committed = commit(returned, step, after: forward[forward.count - 1])
    applied = graph.add(
      .fcUpdate, "FC update", step: step, compute(.fc, updateSeconds),
      after: [gradients, committed])
  }

  /// Seconds in which an FC node applies one step of the optimizer.
  private var updateSeconds: Double {
    let weights = cut.layers.reduce(0) { $0 + ($1.inputs + 1) * cut.trainedOutputs(of: $1) }
    return Double(weights) / Double(cut.nodes) * speeds.updatePerValue
  }

  /// The conv layers' way from the features' gradients to the commit.
  @discardableResult
  private mutating func commit(
    _ returned: [(gradient: Int, rows: Int)], _ step: Int, after forward: Int
  ) -> Int {
    let pushed = backward(returned, step, after: forward)
    var updates: [Int] = []
    for stage in stages.indices.reversed() {
      guard let push = pushed[stage] else { continue }
      updates.append(update(stage, step, after: push))
    }
    let commit = graph.add(
      .update, "commit", step: step, [], latency: shape.latencySeconds,
      after: updates.isEmpty ? returned.map(\.gradient) : updates)
    commits.append(commit)
    return commit
  }

  /// A lane's way through the FC nodes; its last segment, and its gradient at the worker.
  private mutating func pass(
    _ lane: Lane, _ name: String, _ step: Int, after ready: Int
  ) -> (last: Int, gradient: Int) {
    let a = Double(shape.wire.activations)
    let values = Double(features) * a * away
    let perNode = Double(lane.rows) * values / Double(cut.nodes)
    let ownBytes = Double(lane.own) * values
    var last = graph.add(
      .features, "features, \(name)", step: step,
      transfer([.out: ownBytes, .intoFC: perNode]), latency: shape.latencySeconds,
      after: [ready])
    let segments = cut.segmentCount(training: true)
    for segment in 0..<segments {
      last = graph.add(
        .fcCompute, "FC segment \(segment), \(name)", step: step,
        compute(.fc, speeds.segments[segment].seconds(lane.rows) / Double(cut.nodes)),
        after: [last] + (segment == 0 ? [applied].compactMap { $0 } : []))
      guard segment + 1 < segments, cut.nodes > 1 else { continue }
      // Node 0 has the largest slices.
      let moved = cut.moved(afterSegment: segment, rank: 0)
      let size = Double(lane.rows) * (segment == cut.layers.count ? 4 : a)
      last = graph.add(
        .exchange, "exchange \(segment), \(name)", step: step,
        transfer([
          .outOfFC: Double(moved.sent) * size, .intoFC: Double(moved.received) * size,
        ]), latency: shape.latencySeconds,
        after: [last])
    }
    let gradient = graph.add(
      .featureGradients, "feature gradients, \(name)", step: step,
      transfer([.outOfFC: perNode, .into: ownBytes]), latency: shape.latencySeconds,
      after: [last])
    return (last, gradient)
  }

  /// The worker's backward passes; the push of each stage.
  private mutating func backward(
    _ returned: [(gradient: Int, rows: Int)], _ step: Int, after forward: Int
  ) -> [Int: Int] {
    var last = forward
    var pushed: [Int: Int] = [:]
    for (index, block) in returned.enumerated() {
      for stage in stages.reversed() {
        last = graph.add(
          .convBackward, "\(stage.name) backward", step: step,
          compute(.worker, speeds.backward[stage.index].seconds(block.rows)),
          after: [last, block.gradient])
        guard index == returned.count - 1, stage.parameterCount > 0 else { continue }
        let bytes = Double(stage.parameterCount * shape.wire.gradients)
        pushed[stage.index] = graph.add(
          .push, "\(stage.name) gradients", step: step,
          conv(bytes, up: true), latency: shape.latencySeconds, after: [last])
      }
    }
    return pushed
  }

  private mutating func update(_ stage: Int, _ step: Int, after push: Int) -> Int {
    let values = Double(stages[stage].parameterCount)
    let update = graph.add(
      .update, "\(stages[stage].name) update", step: step,
      // Sums of K gradients, then the optimizer; the shards at the same time.
      compute(
        .server, values * shardShare * speeds.updatePerValue * (0.6 * Double(shape.workers) + 1)),
      after: [push])
    installed[stage] = graph.add(
      .parameters, "\(stages[stage].name) parameters", step: step,
      conv(values * Double(shape.wire.parameters), up: false), latency: shape.latencySeconds,
      after: [update])
    return update
  }

  /// One stage's gradients up or parameters down, at a worker's link and at the server's.
  private func conv(_ bytes: Double, up: Bool) -> [TaskGraph.Use] {
    guard let rate = shape.linkBytesPerSecond else { return [] }
    // By the worker's and by the server's direction; a shard has some of the bytes.
    let links: (worker: Link, server: Link) = up ? (.out, .intoServer) : (.into, .outOfServer)
    let served = bytes * shardShare
    guard shape.layout == .beside else {
      return [
        TaskGraph.Use(resource: links.worker.rawValue, seconds: bytes / rate),
        TaskGraph.Use(
          resource: links.server.rawValue, seconds: Double(shape.workers) * served / rate),
      ]
    }
    // Worker 0 is beside the coordinator, and where there are as many shards as workers the one that
    // is followed is beside one too: its own part does not cross, those of the others do.
    let others = Double(shape.workers - 1) * served
    let hasShard = shape.serverShards >= shape.workers
    let away = shape.hosts == 1 ? 0 : bytes - (hasShard ? served : 0)
    let back: (worker: Link, server: Link) = up ? (.into, .outOfServer) : (.out, .intoServer)
    return [
      TaskGraph.Use(resource: links.worker.rawValue, seconds: away / rate),
      TaskGraph.Use(resource: links.server.rawValue, seconds: others / rate),
      TaskGraph.Use(resource: back.worker.rawValue, seconds: hasShard ? others / rate : 0),
      TaskGraph.Use(
        resource: back.server.rawValue,
        seconds: shape.serverShards > 1 ? (bytes - served) / rate : 0),
    ]
  }
}
