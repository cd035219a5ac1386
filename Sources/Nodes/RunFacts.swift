import Messages
import Configuration
import Coordination
import Messages
import Synchronization
import Training

/// What a checkpoint says about the run it was made in: kept by the socket thread, read by the
/// thread that writes checkpoints.
final class RunFacts: Sendable {
  private let template: Mutex<CheckpointManifest>
  /// Validation as it was when each checkpoint was begun: it may have gone on since.
  private let validations = Mutex<[UInt64: ValidationProgress]>([:])
  private let rates = Mutex<[UInt64: [RateChange]]>([:])
  private let epochs: EpochCount

  /// - Parameters:
  ///   - number: the run's.
  ///   - resumed: what it goes on from.
  ///   - followsDeath: whether the server before this one has died.
  init(_ run: RunContext, number: UInt64, resumed: Checkpoint?, followsDeath: Bool = false) {
    let configuration = run.configuration
    epochs = EpochCount(resumed?.manifest, globalBatch: configuration.globalBatch)
    var manifest = CheckpointManifest(
      run: Version.runName(number), software: Version.text,
      network: configuration.network.name ?? "custom", steps: 0, epoch: 0,
      seed: configuration.seed, globalBatch: configuration.globalBatch, trainingExamples: 0,
      evaluationExamples: 0, datasetFingerprint: "", workers: 0, fcNodes: 0, view: 0)
    manifest.velocityRule = configuration.optimizer.rule.rawValue
    let servers = configuration.cluster.serverShards
    manifest.serverShards = servers > 1 ? servers : nil
    if let resumed {
      manifest.history =
        resumed.manifest.history + [
          "run \(resumed.manifest.run) of \(resumed.manifest.software), seed "
            + "\(resumed.manifest.seed), \(resumed.manifest.workers) workers and "
            + "\(resumed.manifest.fcNodes) fc nodes in view \(resumed.manifest.view), was resumed "
            + "after \(resumed.manifest.steps) steps as run \(manifest.run)"
        ]
      manifest.faultsSurvived = resumed.manifest.faultsSurvived
    }
    if followsDeath {
      manifest.faultsSurvived = (manifest.faultsSurvived ?? 0) + 1
      manifest.history.append("the server before run \(manifest.run) died, and another came")
    }
    template = Mutex(manifest)
  }

  /// Takes over what has changed.
  func update(_ core: ServerCore, _ monitor: RunMonitor) {
    let latest = monitor.latest
    template.withLock {
      $0.view = core.view?.number ?? 0
      $0.workers = core.view?.workers.count ?? 0
      $0.fcNodes = core.view?.fcNodes.count ?? 0
      $0.loss = latest.loss.flatMap { $0.isFinite ? $0 : nil }
      $0.testAccuracy = latest.testAccuracy
      if let facts = core.dataset {
        $0.trainingExamples = facts.trainingExamples
        $0.evaluationExamples = facts.evaluationExamples
        $0.datasetFingerprint = Version.runName(facts.fingerprint)
      }
    }
  }

  /// Most lines of history: of a run in which ever so much happens the middle is left out.
  private static let mostHistory = 1000

  /// Adds to the history that checkpoints carry what is worth it of the server's own words.
  func remember(_ text: String, steps: UInt64) {
    let isFault = text.contains("is gone") || text.contains("is not applied")
    let isNews = text.contains("back to") || text.contains(" joined") || text.hasPrefix("view ")
    guard isFault || isNews else { return }
    template.withLock {
      if isFault { $0.faultsSurvived = ($0.faultsSurvived ?? 0) + 1 }
      $0.history.append("after \(steps) steps: \(text)")
      guard $0.history.count > Self.mostHistory else { return }
      $0.history.remove(at: Self.mostHistory / 2)
    }
  }

  /// Keeps what the evaluations had shown when the checkpoint after `steps` steps was begun.
  func keep(_ validation: ValidationProgress, _ changes: [RateChange], steps: UInt64) {
    validations.withLock { $0[steps] = validation }
    rates.withLock { $0[steps] = changes.isEmpty ? nil : changes }
  }

  /// What the evaluations had shown after `steps` steps, for a run that goes back there.
  func validation(steps: UInt64) -> ValidationProgress {
    validations.withLock { $0[steps] } ?? ValidationProgress()
  }

  /// The description of a checkpoint after `steps` steps.
  func manifest(steps: UInt64) -> CheckpointManifest {
    var manifest = template.withLock { $0 }
    manifest.steps = steps
    manifest.validation = validation(steps: steps)
    manifest.rateChanges = rates.withLock { $0[steps] }
    manifest.epoch = epochs.epoch(afterSteps: steps, of: manifest.trainingExamples)
    return manifest
  }
}
