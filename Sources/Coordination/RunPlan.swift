package import Messages
package import Network
package import Tensors

/// Everything the cores need to know of a run before it starts: derived from the configuration,
/// the same in every process.
package struct RunPlan: Hashable, Sendable {
  package var globalBatch: Int
  /// Workers and FC nodes the run starts with.
  package var workersWanted: Int
  package var fcNodesWanted: Int
  package var chunks: ChunkTable
  /// Which parameter server owns which chunk; the coordinator is shard 0.
  package var shards: ShardMap
  /// Columns of the features that each FC node owns.
  package var featureSlices: Partition
  package var trainingSegments: Int
  package var evaluationSegments: Int
  /// Training steps: fixed, or a number of passes over the training set.
  package var length: Length
  package var evaluation: EvaluationRhythm
  package var timing: Timing
  /// Training steps between two checkpoints; 0 makes none.
  package var checkpointEvery: UInt64 = 0
  /// Milliseconds after which a checkpoint is due all the same; 0 for never.
  package var checkpointInterval: UInt64 = 0
  /// Whether there is a place for checkpoints, and any are wanted.
  package var makesCheckpoints: Bool { checkpointEvery > 0 || checkpointInterval > 0 }
  /// Classes that a label may be of; `nil` takes any.
  package var classes: Int?
  /// The number formats of messages.
  package var wire = WireFormat()
  /// How a step is cut into sub-batches, which workers and FC nodes pipeline.
  package var schedule = Schedule()
  /// With fewer workers the run pauses; at least 1.
  package var minimumWorkers = 1
  /// Whether the FC layers are cut anew when an FC node is lost; otherwise another must come.
  package var recutsOnLoss = false
  /// Whether every FC node's slice is kept by the next one too.
  package var mirrorsFC = false
  /// What becomes of a step with a number that is infinite or not a number; it is never applied.
  package var onFault = FaultPolicy.stop

  package enum FaultPolicy: Hashable, Sendable {
    /// The run ends with the parameters before the step.
    case stop
    /// The step is passed over: the next ones go by the next examples.
    case skip
    /// Back to the last checkpoint; the run ends if the step is no better the second time.
    case rollBack
  }

  package enum Length: Hashable, Sendable {
    case steps(UInt64)
    case epochs(Double)
  }

  package enum EvaluationRhythm: Hashable, Sendable {
    case never
    case atEnd
    case everySteps(UInt64)
    case everyEpochs(Double)
  }

  /// Number formats of what travels.
  package struct WireFormat: Hashable, Sendable {
    package var activations = NumberFormat.fp32
    package var gradients = NumberFormat.fp32
    package var parameters = NumberFormat.fp32
    package init() {}
  }

  /// Deadlines, milliseconds.
  package struct Timing: Hashable, Sendable {
    /// Between two heartbeats of a member. Larger: later detection; smaller: more messages.
    package var heartbeat: UInt64 = 500
    /// Silence after which a member is taken for dead. Larger survives longer pauses of a host.
    package var memberTimeout: UInt64 = 3000
    /// A turn without progress for so long has its culprit named, and evicted if it is a worker; less
    /// (`TurnPace`) where turns are known to be short.
    package var progressTimeout: UInt64 = 30_000
    /// How long nodes are given for the last words at the end.
    package var farewell: UInt64 = 3000
    package init() {}
  }

  package init(
    globalBatch: Int, workersWanted: Int, fcNodesWanted: Int, chunks: ChunkTable,
    featureSlices: Partition, trainingSegments: Int, evaluationSegments: Int, length: Length,
    evaluation: EvaluationRhythm, timing: Timing = Timing()
  ) {
    self.globalBatch = globalBatch
    self.workersWanted = workersWanted
    self.fcNodesWanted = fcNodesWanted
    self.chunks = chunks
    shards = ShardMap(chunks, count: 1)
    self.featureSlices = featureSlices
    self.trainingSegments = trainingSegments
    self.evaluationSegments = evaluationSegments
    self.length = length
    self.evaluation = evaluation
    self.timing = timing
  }

  /// Whether a worker that has the new value of every chunk knows by that alone that the turn is
  /// committed. Of several shards none knows of the others, and mirrors have a say too.
  package var parametersMeanCommit: Bool { shards.count == 1 && !mirrorsFC }

  /// The FC node that keeps `rank`'s slice too.
  package func mirror(of rank: Int) -> Int { (rank + 1) % fcNodesWanted }

  /// The FC node whose slice `rank` keeps besides its own.
  package func mirrored(by rank: Int) -> Int { (rank + fcNodesWanted - 1) % fcNodesWanted }

  /// Shards beside the coordinator.
  package var shardsWanted: Int { shards.count - 1 }

  /// Optimizer steps of the whole run on a data set: `ceil(epochs * examples / global batch)`.
  package func totalSteps(_ facts: DatasetFacts) -> UInt64 {
    switch length {
    case .steps(let steps): steps
    case .epochs(let epochs): Self.steps(epochs, facts, globalBatch)
    }
  }

  /// The same before the data set is known; `nil` where it takes that.
  package var knownTotalSteps: UInt64? {
    if case .steps(let steps) = length { steps } else { nil }
  }

  /// Why a run of so many steps does not go on from a checkpoint that has more.
  package static func objection(toSteps total: UInt64, after steps: UInt64) -> String {
    "the checkpoint has \(steps) steps, and the run is to have only \(total): give it more steps or"
      + " epochs, or name an older checkpoint"
  }

  /// The run's turns on a data set.
  package func program(_ facts: DatasetFacts) -> TurnProgram {
    let total = totalSteps(facts)
    let batch = UInt64(globalBatch)
    let every: UInt64
    switch evaluation {
    case .never:
      return TurnProgram(totalSteps: total, evaluateEvery: 0, evaluationBatches: 0)
    case .atEnd: every = 0
    case .everySteps(let steps): every = steps
    case .everyEpochs(let epochs): every = Self.steps(epochs, facts, globalBatch)
    }
    return TurnProgram(
      totalSteps: total, evaluateEvery: every,
      evaluationBatches: (facts.evaluationExamples + batch - 1) / batch)
  }

  /// Rows of the global batch that hold an example in a turn: fewer than the batch only at the
  /// end of the evaluation set.
  package func examples(of turn: Turn, _ facts: DatasetFacts) -> Int {
    guard case .evaluation(_, let batch, _) = turn else { return globalBatch }
    let left = facts.evaluationExamples - batch * UInt64(globalBatch)
    return Int(min(left, UInt64(globalBatch)))
  }

  /// Position in the data of a turn's first row: a place in the endless training stream, or an
  /// index of the evaluation set.
  package func firstPosition(of turn: Turn) -> UInt64 {
    switch turn {
    case .training(let step): step * UInt64(globalBatch)
    case .evaluation(_, let batch, _): batch * UInt64(globalBatch)
    }
  }

  private static func steps(_ epochs: Double, _ facts: DatasetFacts, _ batch: Int) -> UInt64 {
    let steps = (epochs * Double(facts.trainingExamples) / Double(batch)).rounded(.up)
    // The facts come from another process: absurd ones must not trap.
    return steps < 0x1p62 ? UInt64(max(steps, 0)) : 1 << 62
  }
}
