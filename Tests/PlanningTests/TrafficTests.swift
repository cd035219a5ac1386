import Configuration
import Messages
import Network
import Nodes
import Observability
import Planning
import Synchronization
import Tensors
import Testing
import Training
import Transport

/// The bytes that the plan predicts against those that a cluster counts.
@Suite(.timeLimit(.minutes(30)), .serialized)
struct TrafficTests {
  /// Large enough that headers and heartbeats are next to nothing.
  static let text = """
    {
      network: {
        input: [3, 16, 16],
        layers: [
          { type: "conv", channels: 32, kernel: 5, padding: 2 }, "relu",
          { type: "maxpool", window: 2, stride: 2 },
          { type: "conv", channels: 32, kernel: 5, padding: 2 }, "relu",
          { type: "fc", units: 512 }, "relu",
          { type: "fc", units: 768 }, "relu",
          { type: "fc", units: 100 },
        ],
      },
      dataset: { kind: "synthetic", examples: 256, testExamples: 64 },
      globalBatch: 96, steps: 100000, evaluation: { everyEpochs: 0, atEnd: false },
      cluster: { heartbeatMilliseconds: 20, memberTimeoutMilliseconds: 60000 },
      compute: { threadsPerNode: 1 },
    }
    """

  static func configuration(
    workers: Int, fcNodes: Int, servers: Int, overrides: [String] = []
  ) throws -> RunConfiguration {
    try RunConfiguration.parse(
      text: text, source: "traffic",
      overrides: [
        "cluster.workers=\(workers)", "cluster.fcNodes=\(fcNodes)", "cluster.chunkBytes=32768",
        "cluster.serverShards=\(servers)",
      ].map { ConfigurationOverride($0) } + overrides.map { ConfigurationOverride($0) })
  }

  @Test(arguments: [(1, 1, 1), (2, 2, 1), (3, 2, 3), (1, 4, 1), (2, 1, 2)])
  func `bytes a step are those the nodes count`(
    workers: Int, fcNodes: Int, servers: Int
  ) throws {
    let configuration = try Self.configuration(
      workers: workers, fcNodes: fcNodes, servers: servers)
    var shape = ClusterShape(
      workers: workers, fcNodes: fcNodes, globalBatch: configuration.globalBatch)
    shape.serverShards = servers
    try Self.expectBytes(of: configuration, shape)
  }

  @Test func `bytes of a bf16 wire are those the nodes count`() throws {
    let formats = ["activations", "gradients", "parameters"].map { "wire.\($0)=bf16" }
    let configuration = try Self.configuration(
      workers: 2, fcNodes: 2, servers: 1, overrides: formats)
    var shape = ClusterShape(workers: 2, fcNodes: 2, globalBatch: configuration.globalBatch)
    (shape.wire.activations, shape.wire.gradients, shape.wire.parameters) = (2, 2, 2)
    try Self.expectBytes(of: configuration, shape)
  }

  @Test(arguments: [2, 3])
  func `bytes of mirrored fc nodes are those the nodes count`(fcNodes: Int) throws {
    let configuration = try Self.configuration(
      workers: 2, fcNodes: fcNodes, servers: 1, overrides: ["cluster.fcMirror=true"])
    var shape = ClusterShape(
      workers: 2, fcNodes: fcNodes, globalBatch: configuration.globalBatch)
    let plain = Traffic(try configuration.networkPlan(), shape)
    shape.mirrorsFC = true
    let mirrored = Traffic(try configuration.networkPlan(), shape)
    for (node, bytes) in mirrored.fcNodes.enumerated() {
      #expect(bytes.sent > plain.fcNodes[node].sent)
    }
    try Self.expectBytes(of: configuration, shape)
  }

  @Test(arguments: ["scattered", "round-robin"])
  func `sub-batches move as many bytes as the whole batch`(kind: String) throws {
    // As many sub-batches as workers, so that in turn each has its share of the batch.
    let configuration = try Self.configuration(
      workers: 2, fcNodes: 2, servers: 1,
      overrides: ["schedule.kind=\(kind)", "schedule.subBatches=2"])
    var shape = ClusterShape(workers: 2, fcNodes: 2, globalBatch: configuration.globalBatch)
    shape.schedule = kind == "scattered" ? .scattered : .roundRobin
    shape.subBatches = 2
    try Self.expectBytes(of: configuration, shape)
  }

  /// Runs a cluster and compares what its nodes count with the plan's bytes.
  private static func expectBytes(
    of configuration: RunConfiguration, _ shape: ClusterShape
  ) throws {
    var shape = shape
    shape.chunkElements = configuration.cluster.chunkElements
    let traffic = Traffic(try configuration.networkPlan(), shape)
    let counted = try Self.count(configuration)
    for (node, bytes) in counted {
      let expected =
        switch node.role {
        case .worker: traffic.workers[node.rank]
        case .shard: traffic.servers[node.rank]
        case .fc, .server, .observer: traffic.fcNodes[node.rank]
        }
      let sent: Double = bytes.sent / Double(expected.sent)
      let received: Double = bytes.received / Double(expected.received)
      #expect(abs(sent - 1) < 0.03, "\(node) sent \(sent) of \(expected.sent)")
      #expect(abs(received - 1) < 0.03, "\(node) received \(received) of \(expected.received)")
    }
    #expect(counted.count == shape.workers + shape.fcNodes + shape.serverShards - 1)
  }

  @Test(arguments: ["auto", "gather-input", "scatter-output"], [2, 3, 4])
  func `an fc node's bytes are those of its layers, its features and the loss`(
    form: String, fcNodes: Int
  ) throws {
    let configuration = try RunConfiguration.parse(
      text: """
        {
          network: { input: [5, 4, 4], layers: [
            { type: "fc", units: 37, form: "\(form)" }, "relu", { type: "fc", units: 11 },
            { type: "fc", units: 90, form: "gather-input" },
          ] },
          dataset: { kind: "synthetic" }, globalBatch: 6,
        }
        """, source: "layers")
    let plan = try configuration.networkPlan()
    let traffic = Traffic(plan, ClusterShape(workers: 1, fcNodes: fcNodes, globalBatch: 6))
    let rows = configuration.globalBatch
    let features = rows * 4 * Partition(count: plan.features, parts: fcNodes)[0].count
    let layers = traffic.layers.reduce(0) { $0 + $1.sent }
    #expect(traffic.fcNodes[0].sent == features + rows * 4 + rows * 12 * (fcNodes - 1) + layers)
    #expect(traffic.layers.map(\.reason) == [form == "auto" ? .auto : .form, .auto, .form])
    // What is chosen by cost is the cheaper, and the other figure is what the other would cost.
    for layer in traffic.layers where layer.reason == .auto { #expect(layer.sent <= layer.other) }
    let gathered: Int =
      rows * 4
      * ((fcNodes - 1) * Partition(count: 11, parts: fcNodes)[0].count
        + Partition(count: 11, parts: fcNodes).ranges.dropFirst().reduce(0) { $0 + $1.count })
    #expect(traffic.layers[2].sent == gathered)
  }

  /// Bytes a turn of every node between two of its heartbeats, at least 60 turns apart.
  ///
  /// A heartbeat's counters may be up to a turn off its turn: below 2 %.
  private static func count(
    _ configuration: RunConfiguration
  ) throws -> [(NodeName, (sent: Double, received: Double))] {
    let endpoint = "ipc:///tmp/crosscut-traffic-\(UInt64.random(in: 1...UInt64.max))"
    let cluster = try InProcessCluster(
      configuration, listen: endpoint,
      log: { Logger(descriptor: 2, name: $0, level: .warning) })
    let ended = Mutex<Result<Stop, any Error>?>(nil)
    let thread = try OwnedThread(name: "cluster") {
      let result = Result { try cluster.runToEnd() }
      ended.withLock { $0 = result }
    }
    defer {
      cluster.stop("counted")
      thread.join()
    }
    let context = try Context()
    let client = try StatusClient(context: context, endpoint: endpoint)
    defer {
      client.close()
      context.terminate()
    }
    let first = try nodes(client, ended, after: [:], turns: 8)
    let start = Dictionary(uniqueKeysWithValues: first.map { ($0.name, $0.turn) })
    let last = try nodes(client, ended, after: start, turns: 60)
    return zip(first, last).map { before, after in
      let turns = Double(after.turn - before.turn)
      return (
        after.name,
        (
          sent: Double(after.bytesSent - before.bytesSent) / turns,
          received: Double(after.bytesReceived - before.bytesReceived) / turns
        )
      )
    }
  }

  /// The nodes once each of them has done so many turns since `start`.
  private static func nodes(
    _ client: StatusClient, _ ended: borrowing Mutex<Result<Stop, any Error>?>,
    after start: [NodeName: UInt64], turns: UInt64
  ) throws -> [NodeRecord] {
    while true {
      if let result = ended.withLock({ $0 }) {
        throw NodeError("the cluster ended: \(result)")
      }
      let record = try client.status(timeoutMilliseconds: 60_000)
      let wanted =
        record.workersWanted + record.fcNodesWanted + (record.serverShardsWanted ?? 0)
      if record.nodes.count == wanted,
        record.nodes.allSatisfy({ $0.turn >= start[$0.name, default: 0] + turns })
      {
        return record.nodes
      }
    }
  }
}
