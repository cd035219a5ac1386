package import Configuration
package import Coordination
import Datasets
import Messages
package import Network

/// A run in one process, without cut, protocol or message: what every cluster must agree with.
///
/// The same data in the same order, the same dropout masks, learning rates and evaluations as a
/// cluster of any shape; only the order of floating-point sums differs. Belongs to the thread that
/// made it (`ComputeThreads.use` first).
package final class SingleProcessTrainer {
  package let context: RunContext
  /// The run as a list of turns.
  package let program: TurnProgram
  /// Optimizer steps done.
  package private(set) var steps: UInt64 = 0
  /// What the evaluations have shown.
  package private(set) var validation = ValidationProgress()

  private let network: WholeNetwork
  private let data: OpenDataset
  private let loader: BatchLoader
  private let probe: (any StepProbe)?
  private let observer: (any RunObserver)?

  /// Opens the data and plans all memory.
  ///
  /// - Parameters:
  ///   - training: `false` is for evaluation only, with less memory.
  ///   - probe: sees every gradient, a whole parameter a call.
  /// - Throws: `TrainingError` if the data or the starting parameters do not fit the network.
  package init(
    _ context: RunContext, training: Bool = true, probe: (any StepProbe)? = nil,
    observer: (any RunObserver)? = nil
  ) throws(TrainingError) {
    self.context = context
    self.probe = probe
    self.observer = observer
    data = try OpenDataset(context)
    if training, let groups = data.pair.groups, !groups.isWhole {
      throw TrainingError(
        "dataset: this machine has \(groups.description), one process needs all of them")
    }
    program = context.plan.program(data.facts)
    network = try WholeNetwork(context, training: training)
    loader = data.loader()
  }

  deinit { loader.stop() }

  /// Runs all turns: training steps and evaluations; fewer where the configuration has an early
  /// stop.
  package func run() throws(TrainingError) {
    var round = Tally.zero
    for index in 0..<program.count {
      let turn = program[index]
      let tally = try pass(turn, prefetching: index + 1 < program.count ? program[index + 1] : nil)
      switch turn {
      case .training(let step):
        applyGradients()
        observer?.trained(step: step, loss: tally.meanLoss, accuracy: tally.accuracy)
      case .evaluation(_, let batch, let step):
        round = batch == 0 ? tally : round + tally
        guard batch + 1 == program.evaluationBatches else { continue }
        report(round, step)
        validation.observe(
          error: 1 - round.accuracy, context.configuration.optimizer.decay)
        if validation.reasonToStop(context.configuration.evaluation) != nil { return }
      }
    }
  }

  /// Computes the gradients of the next optimizer step, for `applyGradients`.
  ///
  /// May be repeated.
  ///
  /// - Parameter jitter: changes every input by 2^-22 of it, up or down as this number has it; to
  ///   see what rounding may do to the gradients.
  /// - Returns: loss and ranks of its batch.
  package func computeGradients(jitter: UInt32? = nil) throws(TrainingError) -> Tally {
    let next = steps + 1 < program.totalSteps ? Turn.training(step: steps + 1) : nil
    return try pass(.training(step: steps), prefetching: next, jitter: jitter)
  }

  /// Every parameter with what `computeGradients` has made, row-major; who changes it changes what
  /// is applied. Valid while this lives.
  package var gradients: [(entry: ParameterTable.Entry, values: UnsafeMutablePointer<Float>)] {
    network.parameterGradients
  }

  /// Makes the optimizer step that `computeGradients` has prepared.
  package func applyGradients() {
    network.update(
      step: steps, of: program.totalSteps, reductions: validation.reductions, probe: probe)
    steps += 1
  }

  /// Runs the whole test set with the parameters as they are.
  package func evaluate() throws(TrainingError) -> Tally {
    let batch = UInt64(context.plan.globalBatch)
    let batches = (data.facts.evaluationExamples + batch - 1) / batch
    var sum = Tally.zero
    for index in 0..<batches {
      let turn = { Turn.evaluation(round: 0, batch: $0, step: self.steps) }
      sum = sum + (try pass(turn(index), prefetching: index + 1 < batches ? turn(index + 1) : nil))
    }
    report(sum, steps)
    return sum
  }

  /// The parameters as they are; the memory is valid until the next step, and while this lives.
  package var model: ModelTensors { network.model(steps: steps) }

  private func report(_ tally: Tally, _ step: UInt64) {
    observer?.evaluated(
      step: step, loss: tally.meanLoss, accuracy: tally.accuracy, top5: tally.top5Accuracy)
  }

  /// One turn's computations, while the batch of the next one is loaded.
  private func pass(_ turn: Turn, prefetching next: Turn?, jitter: UInt32? = nil)
    throws(TrainingError) -> Tally
  {
    let batch: Batch
    do throws(DatasetError) {
      batch = try loader.take(request(turn))
    } catch {
      throw TrainingError("\(error)")
    }
    defer { loader.recycle(batch) }
    if let next { loader.request(request(next)) }
    let examples = context.plan.examples(of: turn, data.facts)
    let step: UInt64
    switch turn {
    case .training(let number), .evaluation(_, _, let number): step = number
    }
    return network.pass(
      batch, training: turn.isTraining, step: step, examples: examples, jitter: jitter)
  }

  private func request(_ turn: Turn) -> BatchRequest {
    BatchRequest(
      kind: turn.isTraining ? .training : .evaluation,
      firstPosition: context.plan.firstPosition(of: turn), rows: context.plan.globalBatch)
  }
}
