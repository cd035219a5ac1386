/// What a node does in the cluster.
package enum Role: String, Hashable, Sendable, CaseIterable {
  /// Owns the convolutional parameters, the membership and the clock.
  case server
  /// Holds a full replica of the convolutional part and trains on a share of every batch.
  case worker
  /// Holds a slice of every fully connected layer.
  case fc
  /// A parameter server beside the coordinator: owns a share of the convolutional parameters.
  case shard
  /// Somebody who asks for the status; never a member.
  case observer

  /// Whether a member of this role holds parameters that nobody else has: its death sends the run
  /// back to a checkpoint.
  package var holdsParameters: Bool { self == .fc || self == .shard }
}

/// The number the server gives a node when it joins; never used twice in a run. 0 is the server,
/// and also what a node writes before it has been given one.
package struct NodeID: Hashable, Sendable, Comparable, CustomStringConvertible {
  package let value: UInt32
  package init(_ value: UInt32) { self.value = value }
  package static let server = NodeID(0)
  package static func < (left: NodeID, right: NodeID) -> Bool { left.value < right.value }
  package var description: String { "node \(value)" }
}

/// A node as people name it: "worker 3", "fc 0", "shard 1", "server".
package struct NodeName: Hashable, Sendable, CustomStringConvertible {
  package let role: Role
  package let rank: Int
  package init(_ role: Role, _ rank: Int = 0) {
    self.role = role
    self.rank = rank
  }
  package static let server = NodeName(.server)
  package var description: String { role == .server ? "server" : "\(role.rawValue) \(rank)" }
}

/// A place in a view: which process holds which rank.
package struct Member: Hashable, Sendable {
  package let node: NodeID
  /// Random id of one process life: a restarted process is somebody else.
  package let incarnation: UInt64
  package let name: NodeName
  /// Where it listens ("tcp://10.0.0.3:41873"); empty for workers, who only dial out.
  package let endpoint: String

  package init(node: NodeID, incarnation: UInt64, name: NodeName, endpoint: String) {
    self.node = node
    self.incarnation = incarnation
    self.name = name
    self.endpoint = endpoint
  }
}

/// The numbered membership of the cluster, and the turn at which it starts.
package struct View: Hashable, Sendable {
  /// Counts up from 1; 0 means "no view yet".
  package let number: UInt32
  /// The first turn that is not committed: everybody starts there.
  package let resumeTurn: UInt64
  /// In rank order.
  package let workers: [Member]
  /// In rank order.
  package let fcNodes: [Member]
  /// The parameter servers beside the coordinator, in rank order from 1; empty where it is alone.
  package let shards: [Member]
  /// What the workers train on: all of them see the same.
  package let dataset: DatasetFacts
  /// The last view of a run: commit what is committed, then hand in the slices.
  package let isFinal: Bool
  /// How often the validation error has lowered the learning rate so far.
  package var rateReductions: Int
  /// What an operator has made of the learning rate; those changes that are over are left out.
  package var rateChanges: [RateChange]
  /// Turns right before `resumeTurn` that were passed over: their steps count, but nobody applies
  /// them.
  package var skippedTurns: UInt64
  /// The position among `workers` of the one that computes each shard group's rows; empty where
  /// the data are not cut into groups.
  package var holders: [Int]

  package init(
    number: UInt32, resumeTurn: UInt64, workers: [Member], fcNodes: [Member],
    shards: [Member] = [], dataset: DatasetFacts, isFinal: Bool = false, rateReductions: Int = 0,
    rateChanges: [RateChange] = [], skippedTurns: UInt64 = 0, holders: [Int] = []
  ) {
    self.skippedTurns = skippedTurns
    self.holders = holders
    self.rateReductions = rateReductions
    self.rateChanges = rateChanges
    self.number = number
    self.resumeTurn = resumeTurn
    self.workers = workers
    self.fcNodes = fcNodes
    self.shards = shards
    self.dataset = dataset
    self.isFinal = isFinal
  }

  package func member(_ node: NodeID) -> Member? {
    workers.first { $0.node == node } ?? fcNodes.first { $0.node == node }
      ?? shards.first { $0.node == node }
  }

  /// Those who hold parameters that nobody else has.
  package var parameterHolders: [Member] { fcNodes + shards }
  /// Everybody.
  package var members: [Member] { workers + parameterHolders }
}

/// What the cluster must know of a data set, as a worker found it.
package struct DatasetFacts: Hashable, Sendable {
  package var trainingExamples: UInt64
  package var evaluationExamples: UInt64
  /// Equal for equal data; workers that differ are refused.
  package var fingerprint: UInt64

  package init(trainingExamples: UInt64, evaluationExamples: UInt64, fingerprint: UInt64) {
    self.trainingExamples = trainingExamples
    self.evaluationExamples = evaluationExamples
    self.fingerprint = fingerprint
  }
}
