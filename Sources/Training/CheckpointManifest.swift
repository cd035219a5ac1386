package import Configuration
package import Messages

/// What a checkpoint says of itself: which run it is of, how far that was, and what its files are.
///
/// Stored as `manifest.json` (`ManifestText`). A reader ignores keys that it does not know; what
/// would be misread without knowing a key raises `format`.
package struct CheckpointManifest: Codable, Hashable, Sendable {
  /// One of the files beside the manifest.
  package struct FileEntry: Codable, Hashable, Sendable {
    /// "model.safetensors".
    package var name: String
    /// Its size.
    package var bytes: UInt64
    /// CRC-32 (IEEE 802.3, zlib's) of all of it: eight lower-case hexadecimal digits.
    package var crc32: String

    /// The entry of a file.
    package init(name: String, bytes: UInt64, crc32: String) {
      self.name = name
      self.bytes = bytes
      self.crc32 = crc32
    }
  }

  /// The format that this program writes, and the newest that it reads.
  package static let currentFormat = 1
  /// Its own name in a checkpoint.
  package static let fileName = "manifest.json"
  /// The parameters' file.
  package static let modelName = "model.safetensors"
  /// The velocities' file.
  package static let optimizerName = "optimizer.safetensors"

  /// Version of the files' format; the store sets it.
  package var format = Self.currentFormat
  /// The run's id in hexadecimal digits.
  package var run: String
  /// Who wrote it: "crosscut 0.1.0".
  package var software: String
  /// The network's name.
  package var network: String
  /// Optimizer steps done.
  package var steps: UInt64
  /// Passes over the training set done.
  package var epoch: Double
  /// Keys every random number of the run.
  package var seed: UInt64
  /// Examples of one step over all workers.
  package var globalBatch: Int
  package var trainingExamples: UInt64
  package var evaluationExamples: UInt64
  /// Of the data set, in hexadecimal digits.
  package var datasetFingerprint: String
  /// Workers in the view that did the last step.
  package var workers: Int
  /// FC nodes in the view that did the last step.
  package var fcNodes: Int
  /// Servers that shared the conv parameters; absent where there was one,
  /// and in checkpoints of earlier versions.
  package var serverShards: Int?
  /// That view's number.
  package var view: UInt32
  /// Mean loss of the last step or interval, if there was one.
  package var loss: Double?
  /// Part of the test set that the last evaluation got right, if there was one.
  package var testAccuracy: Double?
  /// What the evaluations have shown; absent in checkpoints of earlier versions.
  package var validation: ValidationProgress?
  /// What operators have made of the learning rate; absent where they have let it alone.
  package var rateChanges: [RateChange]?
  /// Nodes lost and steps that were not applied, earlier lives included; absent where there were none.
  /// That the server has died stands in the history, as any resume does.
  package var faultsSurvived: Int?
  /// `optimizer.rule` of the velocities: one has the learning rate in them, the other has not. Absent
  /// in checkpoints of earlier versions.
  package var velocityRule: String?
  /// One line for each event worth keeping: earlier lives, who came and went, views.
  package var history: [String]
  /// The other files; the store fills them in.
  package var files: [FileEntry] = []

  /// A manifest for `CheckpointStore.write`.
  package init(
    run: String, software: String, network: String, steps: UInt64, epoch: Double, seed: UInt64,
    globalBatch: Int, trainingExamples: UInt64, evaluationExamples: UInt64,
    datasetFingerprint: String, workers: Int, fcNodes: Int, view: UInt32, loss: Double? = nil,
    testAccuracy: Double? = nil, history: [String] = []
  ) {
    self.run = run
    self.software = software
    self.network = network
    self.steps = steps
    self.epoch = epoch
    self.seed = seed
    self.globalBatch = globalBatch
    self.trainingExamples = trainingExamples
    self.evaluationExamples = evaluationExamples
    self.datasetFingerprint = datasetFingerprint
    self.workers = workers
    self.fcNodes = fcNodes
    self.view = view
    self.loss = loss
    self.testAccuracy = testAccuracy
    self.history = history
  }

  /// Checks that a run that goes on from here reads the velocities as they were written.
  ///
  /// - Throws: `ConfigurationError` where its rule is another: the first steps would be too large, or
  ///   too small, by the learning rate.
  package func checkVelocities(
    for configuration: RunConfiguration
  ) throws(ConfigurationError) {
    let rule = configuration.optimizer.rule.rawValue
    guard let velocityRule, velocityRule != rule else { return }
    throw ConfigurationError(
      keyPath: "optimizer.rule",
      "the checkpoint after \(steps) steps has velocities of \"\(velocityRule)\", which \"\(rule)\" would"
        + " misread; go on with \"\(velocityRule)\"")
  }

  /// What is different about a run that goes on from here, should that not be meant: a line each.
  package func differences(from configuration: RunConfiguration) -> [String] {
    var lines: [String] = []
    if configuration.globalBatch != globalBatch {
      lines.append(
        "the checkpoint's steps are of \(globalBatch) examples: training goes on with steps of "
          + "\(configuration.globalBatch)")
    }
    if configuration.seed != seed {
      lines.append(
        "the checkpoint is of seed \(seed): training goes on with seed \(configuration.seed)")
    }
    return lines
  }

  /// The same of the data set, which is known with the first worker.
  ///
  /// - Parameter fingerprint: as checkpoints have it.
  package func difference(
    fromTraining training: UInt64, evaluation: UInt64, fingerprint: String
  ) -> String? {
    guard fingerprint != datasetFingerprint, !datasetFingerprint.isEmpty else { return nil }
    return "the checkpoint is of another data set, \(trainingExamples) training and "
      + "\(evaluationExamples) evaluation examples, fingerprint \(datasetFingerprint): training goes "
      + "on with \(training) and \(evaluation), \(fingerprint)"
  }

  /// Bytes of the files together; at most the largest number where a manifest claims more.
  package var bytes: UInt64 {
    files.reduce(0) {
      let (sum, overflow) = $0.addingReportingOverflow($1.bytes)
      return overflow ? .max : sum
    }
  }
}
