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

  init(_ run: RunContext, number: UInt64, resumed: Checkpoint?) {
    let configuration = run.configuration
    var manifest = CheckpointManifest(
      run: Version.runName(number), software: Version.text,
      network: configuration.network.name ?? "custom", steps: 0, epoch: 0,
      seed: configuration.seed, globalBatch: configuration.globalBatch, trainingExamples: 0,
      evaluationExamples: 0, datasetFingerprint: "", workers: 0, fcNodes: 0, view: 0)
    if let resumed {
      manifest.history =
        resumed.manifest.history + [
          "run \(manifest.run) resumed run \(resumed.manifest.run) after "
            + "\(resumed.manifest.steps) steps"
        ]
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

  /// Adds a line to the history that checkpoints carry.
  func remember(_ text: String) { template.withLock { $0.history.append(text) } }

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
    if manifest.trainingExamples > 0 {
      manifest.epoch =
        Double(steps) * Double(manifest.globalBatch) / Double(manifest.trainingExamples)
    }
    return manifest
  }
}
