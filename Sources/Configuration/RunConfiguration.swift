import Network
package import Tensors

/// Everything that decides a run's trajectory, and how its cluster is laid out.
///
/// Read from JSON5, where any subset of the keys may stand; every other key has the default that
/// stands here. `crosscut help configuration` lists them all.
package struct RunConfiguration: Hashable, Sendable {
  /// The network; its input shape is authoritative and the data set must fit it.
  package var network = NetworkConfiguration()
  package var dataset = DatasetConfiguration.idx(IDXDataset())
  package var optimizer = OptimizerConfiguration()
  /// Examples of one step over all workers.
  package var globalBatch = 128
  /// Passes over the training set.
  package var epochs = 10
  /// Optimizer updates; replaces `epochs` when given.
  package var steps: Int?
  /// Keys every random number of the run.
  package var seed: UInt64 = 1
  package var evaluation = EvaluationConfiguration()
  package var schedule = ScheduleConfiguration()
  package var consistency = Consistency.bsp
  package var cluster = ClusterConfiguration()
  package var compute = ComputeConfiguration()
  /// Of activations, their gradients and the weights that products read: bf16 halves the memory
  /// traffic and the time of a product on CPUs that have it. Weights, their gradients, the update
  /// and what is stored are fp32 with both.
  package var precision = NumberFormat.fp32
  package var wire = WireConfiguration()
  package var logging = LoggingConfiguration()
  package var checkpoint = CheckpointConfiguration()

  /// The defaults, without a network: `parse` is the way to a configuration that can run.
  init() {}

  /// The weights' learning rate at `step` (from 0) of a run of `totalSteps`: of the decay, and
  /// scaled to the batch of the layers' updates.
  ///
  /// - Parameters:
  ///   - dense: of the fc layers, else of the conv layers.
  ///   - reductions: what validation has asked for so far (`ValidationProgress`).
  package func learningRate(
    step: Int, of totalSteps: Int, dense: Bool = false, reductions: Int = 0
  ) -> Double {
    optimizer.learningRate
      * optimizer.scaling.multiplier(batch: updateBatch(dense: dense))
      * optimizer.decay.multiplier(
        step: step, of: totalSteps, epochs: epochs, reductions: reductions)
  }

  /// Examples that one update of the fc or the conv layers sees.
  package func updateBatch(dense: Bool) -> Int {
    switch schedule.fcUpdate {
    case .perStep: globalBatch
    case .perSubBatch: dense ? globalBatch / subBatches : globalBatch
    }
  }
}

extension RunConfiguration: ConfigurationSection {
  static var title: String { "the configuration" }
  static var fields: [Field<RunConfiguration>] {
    [
      Field(
        "network", \.network, "A preset's name (default: \"fashion\") or { name, input, layers }."),
      Field("dataset", \.dataset, "Where the examples come from."),
      Field("optimizer", \.optimizer, "How gradients become updates."),
      Field(
        "globalBatch", \.globalBatch, .between(1, 1 << 20),
        "Examples of one step over all workers."),
      Field("epochs", \.epochs, .between(1, 1 << 20), "Passes over the training set."),
      Field(
        "steps", \.steps, .ifGiven(.between(1, 1 << 40)),
        "Optimizer updates; replaces epochs when given."),
      Field("seed", \.seed, "Keys every random number of the run."),
      Field("evaluation", \.evaluation, "When the test set is run."),
      Field("schedule", \.schedule, "How the FC nodes share a step."),
      Field("consistency", \.consistency, "What a worker may compute with: \"bsp\"."),
      Field("cluster", \.cluster, "Processes, messages and deadlines."),
      Field("compute", \.compute, "Kernels and threads."),
      Field(
        "precision", \.precision,
        "Of the products' operands: \"fp32\", or \"bf16\" on CPUs with AVX-512."),
      Field("wire", \.wire, "The number formats of what travels."),
      Field("logging", \.logging, "What is written down, and where."),
      Field("checkpoint", \.checkpoint, "What a run can be resumed from."),
    ]
  }

  /// Every key with its meaning and its default, in the order of a resolved configuration.
  package static var documentation: [ConfigurationKey] { keys }

  /// The keys of each type of layer: `conv.channels`.
  package static var layerDocumentation: [ConfigurationKey] { LayerSpec.documentation }
}

/// When a worker's gradients count.
package enum Consistency: String, Hashable, Sendable, CaseIterable, ConfigurationWord {
  /// A chunk is updated when every worker's push is in.
  case bsp
  static var planned: [String] { ["ssp", "asp"] }
}

/// When the test set is run through the cluster.
///
/// A run that evaluates at all also evaluates after its last step.
package struct EvaluationConfiguration: Hashable, Sendable, ConfigurationSection {
  /// After every so many epochs; 0: not by epochs. Without meaning beside `everySteps`.
  package var everyEpochs = 1
  /// After every so many steps, instead of `everyEpochs`.
  package var everySteps: Int?
  /// After the last step, where `everyEpochs` is 0 and there is no `everySteps`; both evaluate
  /// there too.
  package var atEnd = true
  /// Evaluations without a lower error after which the run ends; `nil`: it does not.
  package var earlyStop: Int?

  package init() {}

  static var title: String { "evaluation" }
  static var fields: [Field<EvaluationConfiguration>] {
    [
      Field(
        "everyEpochs", \.everyEpochs, .between(0, 1 << 20),
        "After every so many epochs, and at the end; 0: see atEnd."),
      Field(
        "everySteps", \.everySteps, .ifGiven(.between(1, 1 << 40)),
        "After every so many steps, and at the end; replaces everyEpochs."),
      Field("atEnd", \.atEnd, "After the last step only: for everyEpochs 0 without everySteps."),
      Field(
        "earlyStop", \.earlyStop, .ifGiven(.between(1, 1 << 20)),
        "Ends the run after so many evaluations without a lower error; null: never."),
    ]
  }
}

/// How the FC nodes share a step (2014 paper, section 4: its three schemes).
package struct ScheduleConfiguration: Hashable, Sendable, ConfigurationSection {
  package enum Kind: String, Hashable, Sendable, CaseIterable, ConfigurationWord {
    /// One sub-batch of everybody's whole share: the paper's scheme (a).
    case gathered
    /// Whole sub-batches, one worker each: the paper's scheme (b).
    case roundRobin = "round-robin"
    /// Sub-batches to which every worker gives a part: the paper's scheme (c).
    case scattered
  }

  package enum FCUpdate: String, Hashable, Sendable, CaseIterable, ConfigurationWord {
    /// The sub-batches' gradients add up and step once.
    case perStep = "per-step"
    /// Each sub-batch's gradients step before the next sub-batch is computed: the 2014 paper's
    /// variable batch size.
    case perSubBatch = "per-sub-batch"
  }

  package var kind = Kind.gathered
  /// Sub-batches of a step; `gathered` has one, the others as many as workers if this is 0. More:
  /// less waiting for the FC nodes. Fewer: larger and so more efficient products.
  package var subBatches = 0
  package var fcUpdate = FCUpdate.perStep

  package init() {}

  static var title: String { "schedule" }
  static var fields: [Field<ScheduleConfiguration>] {
    [
      Field(
        "kind", \.kind,
        "\"gathered\": everybody's whole share at once; \"scattered\": sub-batches of a part of"
          + " each share, \"round-robin\": of one worker's rows, which are pipelined."),
      Field(
        "subBatches", \.subBatches, .between(0, 4096),
        "Sub-batches of a step; 0: 1 if gathered, else one a worker."),
      Field(
        "fcUpdate", \.fcUpdate,
        "When the FC weights step: \"per-step\", or \"per-sub-batch\", subBatches times a step, each"
          + " sub-batch after the update of the one before (the 2014 paper's variable batch)."),
    ]
  }
}

/// What is written down, and where.
package struct LoggingConfiguration: Hashable, Sendable, ConfigurationSection {
  /// Steps between lines of metrics.jsonl.
  package var everySteps = 50
  /// Seconds between progress lines where output is no terminal.
  package var everySeconds = 5.0
  /// The run directory; `nil`: a new one under `runs/`.
  package var runDirectory: String?
  /// Whether TensorBoard's event files are written too.
  package var tensorboard = false

  package init() {}

  static var title: String { "logging" }
  static var fields: [Field<LoggingConfiguration>] {
    [
      Field(
        "everySteps", \.everySteps, .between(1, 1 << 40), "Steps between lines of metrics.jsonl."),
      Field(
        "everySeconds", \.everySeconds, .between(0.1, 86_400),
        "Seconds between progress lines where output is no terminal."),
      Field(
        "runDirectory", \.runDirectory, "The run directory; null: a new one under runs/."),
      Field(
        "tensorboard", \.tensorboard, "Write TensorBoard's event files into the run directory."),
    ]
  }
}
