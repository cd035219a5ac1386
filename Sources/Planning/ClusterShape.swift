/// A cluster that a forecast is made for: who there is, where, and what connects them.
package struct ClusterShape: Hashable, Sendable {
  /// The 2014 paper's schemes.
  package enum Schedule: String, Hashable, Sendable, CaseIterable {
    case gathered
    case roundRobin = "round-robin"
    case scattered
  }

  /// Which processes share a machine, and so its link.
  package enum Layout: String, Hashable, Sendable, CaseIterable {
    /// Every worker, every FC node and every server shard has a machine.
    case separate
    /// FC node i and server shard i are beside worker i; shard 0 is the coordinator.
    case beside
  }

  /// Bytes of a value that travels.
  package struct WireBytes: Hashable, Sendable {
    package var activations = 4
    package var gradients = 4
    package var parameters = 4

    package init() {}
  }

  /// K.
  package var workers: Int
  /// M.
  package var fcNodes: Int
  /// S: parameter servers that share the chunks, the coordinator included.
  package var serverShards = 1
  /// Values in the largest chunk of conv parameters.
  package var chunkElements = 1 << 18
  /// G, over all workers.
  package var globalBatch: Int
  package var schedule = Schedule.gathered
  /// P; 1 if gathered.
  package var subBatches = 1
  /// Whether the FC weights step once a sub-batch, which then come one after another; else once a
  /// step.
  package var updatesEachSubBatch = false
  /// Whether each FC node keeps the next one's slice too; not with a single one.
  package var mirrorsFC = false
  package var layout = Layout.separate
  package var wire = WireBytes()
  /// What a link carries each way; `nil` where it never is in the way.
  package var linkBytesPerSecond: Double?
  /// From one process to the other, whatever the size.
  package var latencySeconds = 0.0003
  /// Cores of a machine that its processes share.
  package var coresPerHost = 8.0
  /// Cores that all machines share, where one machine plays them; `nil` where each has its own.
  package var sharedCores: Double?

  package init(workers: Int, fcNodes: Int, globalBatch: Int) {
    precondition(workers >= 1 && fcNodes >= 1 && globalBatch >= 1, "\(workers), \(fcNodes)")
    self.workers = workers
    self.fcNodes = fcNodes
    self.globalBatch = globalBatch
  }

  /// Machines.
  package var hosts: Int {
    layout == .separate
      ? workers + fcNodes + serverShards : max(workers, fcNodes, serverShards)
  }

  /// Examples of the largest share.
  package var share: Int { (globalBatch + workers - 1) / workers }
}
