package import Network
import Tensors

/// Bytes of one training step, by arithmetic: what must cross, without headers.
///
/// With d features, G examples, r of them a worker's, c conv parameters, and M FC nodes, each
/// worker sends `r d` features and `c` gradients and receives as many; an FC node adds for each
/// layer `(M - 1) / M * min(in, out) * G` values in each direction, forward and again backward. A
/// server shard that owns `s` of the conv parameters sends and receives `K s` values. A mirror costs
/// each FC node `max(in, out) * G / M` values a layer in each direction.
package struct Traffic: Hashable, Sendable {
  /// Both ways of one process or machine.
  package struct Bytes: Hashable, Sendable {
    package var sent = 0
    package var received = 0

    package init(sent: Int = 0, received: Int = 0) {
      self.sent = sent
      self.received = received
    }

    package static func + (a: Self, b: Self) -> Self {
      Bytes(sent: a.sent + b.sent, received: a.received + b.received)
    }
  }

  /// What FC node 0, which has the largest slices, exchanges with the other FC nodes for a layer.
  package struct Layer: Hashable, Sendable {
    /// Why a layer has its form.
    package enum Reason: String, Hashable, Sendable {
      /// It moves the least.
      case auto
      /// The configuration says so.
      case form
      /// The loss is over a sample of the classes, of which only whole rows of weights are of use.
      case sample
    }

    package let name: String
    package let form: FullyConnected.Form
    package let reason: Reason
    /// Bytes that it sends in a step, forward and backward together, in the form taken and in the
    /// other one; it receives as many.
    package let sent: Int
    package let other: Int
  }

  package let workers: [Bytes]
  package let fcNodes: [Bytes]
  /// By shard; the coordinator first.
  package let servers: [Bytes]
  /// Machines in the order of their numbers; separate: workers, FC nodes, servers.
  package let hosts: [Bytes]
  package let layers: [Layer]

  package init(_ plan: NetworkPlan, _ shape: ClusterShape) {
    let cut = DenseCut(plan, nodes: shape.fcNodes)
    let rows = Partition(count: shape.globalBatch, parts: shape.workers)
    let conv = plan.stages.reduce(0) { $0 + $1.parameterCount }
    let (a, g, p) = (shape.wire.activations, shape.wire.gradients, shape.wire.parameters)
    let batch = shape.globalBatch
    workers = rows.ranges.map { share in
      Bytes(
        sent: share.count * (plan.features * a + 4 * shape.fcNodes) + conv * g,
        received: share.count * plan.features * a + conv * p)
    }
    let exchanged = Self.exchanged(cut, rows: batch, valueBytes: a)
    fcNodes = (0..<shape.fcNodes).map { node in
      let features = batch * cut.featureSlices[node].count * a
      let mirrored = Self.mirrored(cut, shape, node)
      // Labels come, ranks go to the server.
      return exchanged[node] + mirrored
        + Bytes(sent: features + batch * 4, received: features + batch * 4)
    }
    let owned = ShardMap(
      ChunkTable(stages: plan.stages, maximumElements: shape.chunkElements),
      count: shape.serverShards
    ).elements
    servers = owned.enumerated().map { shard, values in
      Bytes(
        sent: shape.workers * values * p,
        received: shape.workers * values * g + (shard == 0 ? shape.fcNodes * batch * 4 : 0))
    }
    layers = cut.layers.map {
      Self.layer(
        $0, reason: Self.reason(for: $0, plan), nodes: shape.fcNodes, rows: batch, valueBytes: a)
    }
    guard shape.layout == .beside else {
      hosts = workers + fcNodes + servers
      return
    }
    var hosts = Array(repeating: Bytes(), count: shape.hosts)
    for (index, worker) in workers.enumerated() { hosts[index] = hosts[index] + worker }
    for (index, node) in fcNodes.enumerated() { hosts[index] = hosts[index] + node }
    for (index, server) in servers.enumerated() { hosts[index] = hosts[index] + server }
    // What stays on a machine does not cross its link.
    for index in 0..<min(shape.workers, shape.fcNodes) {
      let features = rows[index].count * cut.featureSlices[index].count * a
      let local = 2 * features + rows[index].count * 4
      hosts[index].sent -= local
      hosts[index].received -= local
    }
    for (index, values) in owned.enumerated() where index < shape.workers {
      let local = values * (g + p) + (index == 0 ? batch * 4 : 0)
      hosts[index].sent -= local
      hosts[index].received -= local
    }
    self.hosts = hosts
  }

  /// Of the machine with the busiest link.
  package var busiest: Bytes {
    hosts.max { max($0.sent, $0.received) < max($1.sent, $1.received) } ?? Bytes()
  }

  /// Sent by all machines, per machine.
  package var meanSent: Double {
    Double(hosts.reduce(0) { $0 + $1.sent }) / Double(max(hosts.count, 1))
  }

  private static func reason(for layer: DenseLayerCut, _ plan: NetworkPlan) -> Layer.Reason {
    if case .fullyConnected(let full) = plan.fullyConnected[layer.position].operation,
      full.form != .auto
    {
      return .form
    }
    let isLast = layer.position == plan.fullyConnected.count - 1
    return isLast && plan.sampleRate < 1 ? .sample : .auto
  }

  private static func layer(
    _ layer: DenseLayerCut, reason: Layer.Reason, nodes: Int, rows: Int, valueBytes: Int
  ) -> Layer {
    // A gathered slice goes to every other node, and theirs come; backward the other way round.
    func moved(_ slices: Partition) -> Int {
      ((nodes - 1) * slices[0].count + slices.count - slices[0].count) * rows * valueBytes
    }
    let (gather, scatter) = (moved(layer.inputSlices), moved(layer.outputSlices))
    let gathers = layer.form == .gatherInput
    return Layer(
      name: layer.name, form: layer.form, reason: reason, sent: gathers ? gather : scatter,
      other: gathers ? scatter : gather)
  }

  /// What one node sends to its mirror, and receives as one; always fp32.
  static func mirrored(_ cut: DenseCut, _ shape: ClusterShape, _ node: Int) -> Bytes {
    guard shape.mirrorsFC else { return Bytes() }
    let neighbour = (node + cut.nodes - 1) % cut.nodes
    return Bytes(
      sent: 4 * shape.globalBatch * cut.mirroredColumns(of: node),
      received: 4 * shape.globalBatch * cut.mirroredColumns(of: neighbour))
  }

  /// Bytes of all exchanges among the FC nodes, by node.
  private static func exchanged(_ cut: DenseCut, rows: Int, valueBytes: Int) -> [Bytes] {
    (0..<cut.nodes).map { node in
      (0..<cut.segmentCount(training: true) - 1).reduce(Bytes()) { sum, segment in
        let moved = cut.moved(afterSegment: segment, rank: node)
        // The loss's three numbers a row stay 32-bit.
        let size = rows * (segment == cut.layers.count ? 4 : valueBytes)
        return sum + Bytes(sent: moved.sent * size, received: moved.received * size)
      }
    }
  }
}
