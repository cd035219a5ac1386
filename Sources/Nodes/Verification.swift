package import Configuration
import Coordination
import Kernels
import Messages
package import Observability
import Synchronization
import Training
import Transport

/// A cluster in this process against a single process that does the same steps from the same
/// parameters.
package struct Verification: Sendable {
  private let cluster: RunConfiguration
  private let reference: RunConfiguration
  private let steps: Int
  private let tolerance: Double
  /// Lies between the cluster's gradients and the comparison; for tests that doctor them.
  private let filter: @Sendable (any StepProbe) -> any StepProbe

  /// - Parameters:
  ///   - configuration: its cluster's shape is the one that is verified; evaluations are left out.
  ///   - steps: replaces the length of the run.
  ///   - tolerance: largest relative difference that passes.
  package init(_ configuration: RunConfiguration, steps: Int, tolerance: Double) {
    self.init(
      cluster: configuration, reference: configuration, steps: steps, tolerance: tolerance)
  }

  /// Lets the two sides differ.
  init(
    cluster: RunConfiguration, reference: RunConfiguration, steps: Int, tolerance: Double,
    filter: @escaping @Sendable (any StepProbe) -> any StepProbe = { $0 }
  ) {
    self.cluster = Self.prepared(cluster, steps)
    self.reference = Self.prepared(reference, steps)
    self.steps = steps
    self.tolerance = tolerance
    self.filter = filter
  }

  private static func prepared(_ configuration: RunConfiguration, _ steps: Int) -> RunConfiguration
  {
    var configuration = configuration
    configuration.steps = steps
    configuration.evaluation.everyEpochs = 0
    configuration.evaluation.everySteps = nil
    configuration.evaluation.atEnd = false
    // Two runs share the machine, and a node that waits for the other run is not dead.
    configuration.cluster.memberTimeoutMilliseconds = max(
      configuration.cluster.memberTimeoutMilliseconds, 60_000)
    configuration.cluster.progressTimeoutSeconds = max(
      configuration.cluster.progressTimeoutSeconds, 3600)
    return configuration
  }

  /// Runs both and compares them.
  ///
  /// - Parameter makeLog: makes the log of a node by its name.
  /// - Throws: `ConfigurationError`, `TrainingError` or `NodeError` if one of them cannot run to
  ///   its end.
  package func run(log makeLog: @escaping @Sendable (String) throws -> Logger) throws
    -> VerificationReport
  {
    let context = try RunContext(reference)
    let schedule = context.plan.schedule
    let comparison = StepComparison(
      context.network, steps: steps,
      parts: schedule.updatesEachSubBatch ? schedule.subBatches + 1 : 1, tolerance: tolerance)
    let cluster = try InProcessCluster(
      cluster, probe: filter(comparison), observer: LossObserver(comparison),
      onModel: { comparison.compare($0) }, log: makeLog)
    let failure = Mutex<(any Error)?>(nil)
    let steps = steps
    let thread = try OwnedThread(name: "reference") {
      do {
        try Self.runReference(context, steps, comparison)
      } catch {
        failure.withLock { $0 = error }
        comparison.cancel()
        cluster.stop("the single process failed: \(error)")
      }
    }
    let outcome = Result { try cluster.runToEnd() }
    comparison.cancel()
    thread.join()
    if let error = failure.withLock({ $0 }) { throw error }
    let stop = try outcome.get()
    guard stop.outcome == .finished, let report = comparison.result() else {
      throw NodeError("the cluster did not run to its end: \(stop.reason)")
    }
    return report
  }

  private static func runReference(
    _ context: RunContext, _ steps: Int, _ comparison: StepComparison
  ) throws {
    let threads = context.configuration.compute.threadsPerNode
    ComputeThreads.use(threads > 0 ? threads : Host.cores)
    let trainer = try SingleProcessTrainer(context)
    // Gradients and model are read by other threads, which keep nothing alive.
    defer { withExtendedLifetime(trainer) {} }
    for step in 0..<UInt64(steps) {
      // A close call in an fc layer reaches the conv layers, whose part comes after it.
      var isClose = false
      for part in 0..<trainer.parts {
        let loss = try trainer.computeGradients(part: part).meanLoss
        comparison.publish(
          step: step, part: part, loss: loss, gradients: trainer.gradients(part: part))
        guard let suspects = comparison.waitUntilCompared() else { return }
        let explained: Set<Int> =
          suspects.isEmpty
          ? [] : try RoundingNoise.explained(suspects, trainer, part: part)
        let isLast = part == trainer.parts - 1
        comparison.conclude(excusing: isLast && isClose ? Set(suspects.keys) : explained)
        isClose = isClose || !explained.isEmpty
        trainer.applyGradients(part: part)
      }
    }
    comparison.lend(trainer.model)
  }

  private struct LossObserver: RunObserver {
    let comparison: StepComparison

    init(_ comparison: StepComparison) { self.comparison = comparison }

    func trained(step: UInt64, loss: Double, accuracy: Double) {
      comparison.compare(loss: loss, at: step)
    }

    func evaluated(step: UInt64, loss: Double, accuracy: Double, top5: Double) {}
  }
}
