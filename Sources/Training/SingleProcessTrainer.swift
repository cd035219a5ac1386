package import Configuration
package import Coordination
import Datasets
import Messages
package import Network
import Tensors

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

  /// The last steps that were passed over in a row.
  private var skipped: Range<UInt64> = 0..<0
  private let network: WholeNetwork
  private let data: OpenDataset
  private let loader: BatchLoader
  private let probe: (any StepProbe)?
  private let observer: (any RunObserver)?
  /// Whether what the conv layers have made is of disturbed inputs, or gone on the way back.
  private var isStale = false

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

  /// A line for each example that has been found since the last call not to be readable: the next one
  /// takes its place.
  package func takeBrokenExamples() -> [String] { loader.broken?.takeNews() ?? [] }

  /// Runs all turns: training steps and evaluations; fewer where the configuration has an early
  /// stop.
  package func run() throws(TrainingError) {
    var round = Tally.zero
    for index in 0..<program.count {
      let turn = program[index]
      let next = index + 1 < program.count ? program[index + 1] : nil
      switch turn {
      case .training(let step):
        var tally = Tally.zero
        var reason: String?
        for part in 0..<parts where reason == nil {
          tally = try computeGradients(part: part, prefetching: next)
          reason = problem(with: tally, part: part)
          if reason == nil { applyGradients(part: part) }
        }
        if let reason {
          try passOver(reason)
        } else {
          observer?.trained(step: step, loss: tally.meanLoss, accuracy: tally.accuracy)
        }
      case .evaluation(_, let batch, let step):
        let tally = try evaluate(turn, prefetching: next)
        round = batch == 0 ? tally : round + tally
        guard batch + 1 == program.evaluationBatches else { continue }
        report(round, step)
        validation.observe(
          error: 1 - round.accuracy, context.configuration.optimizer.decay)
        if validation.reasonToStop(context.configuration.evaluation) != nil { return }
      }
    }
  }

  /// Parts of a step, each of which ends in gradients that are applied before the next begins: one;
  /// where the FC weights step once a sub-batch, one for each and one for the conv layers.
  package var parts: Int { network.parts }

  /// Computes the gradients of a part of the next optimizer step, for `applyGradients`.
  ///
  /// May be repeated.
  ///
  /// - Parameters:
  ///   - part: the parts before it have been applied.
  ///   - jitter: changes every input by 2^-22 of it, up or down as this number has it; to see what
  ///     rounding may do to the gradients.
  /// - Returns: loss and ranks of its batch; in a part that is not the last, so far.
  package func computeGradients(
    part: Int = 0, jitter: UInt32? = nil
  ) throws(TrainingError) -> Tally {
    let next = steps + 1 < program.totalSteps ? Turn.training(step: steps + 1) : nil
    return try computeGradients(part: part, jitter: jitter, prefetching: next)
  }

  private func computeGradients(
    part: Int, jitter: UInt32? = nil, prefetching next: Turn?
  ) throws(TrainingError) -> Tally {
    // What the conv layers have made for one part is there for the next.
    if part == 0 || jitter != nil || isStale {
      try load(.training(step: steps), prefetching: next, jitter: jitter)
    }
    isStale = jitter != nil || part == parts - 1
    return network.computeGradients(step: steps, part: part)
  }

  /// The parameters of a part of a step with what `computeGradients` has made, row-major; who
  /// changes it changes what is applied. Valid while this lives.
  package func gradients(
    part: Int = 0
  ) -> [(entry: ParameterTable.Entry, values: UnsafeMutablePointer<Float>)] {
    network.gradients(part: part)
  }

  /// What of the step that `computeGradients` has prepared is infinite or not a number; `nil` if
  /// nothing is.
  package func problem(with tally: Tally, part: Int = 0) -> String? {
    guard tally.lossSum.isFinite else { return "the loss is \(tally.lossSum)" }
    for (entry, values) in gradients(part: part) {
      let all = UnsafeBufferPointer(start: UnsafePointer(values), count: entry.shape.count)
      guard let index = all.firstNonFinite else { continue }
      return "the gradient of \(entry.layerName) is \(all[index])"
    }
    return nil
  }

  /// Counts a step that cannot be applied, where the configuration says so.
  ///
  /// Here everything is a function of the configuration: going back would come to the same.
  ///
  /// - Throws: `TrainingError` if it says otherwise, or if this happens too often in a row.
  private func passOver(_ problem: String) throws(TrainingError) {
    let reason = "step \(steps) is not applied: \(problem)"
    guard context.configuration.optimizer.onNaN == .skip else { throw TrainingError(reason) }
    skipped = skipped.upperBound == steps ? skipped.lowerBound..<steps + 1 : steps..<steps + 1
    guard skipped.count <= ServerCore.mostSkipped else {
      throw TrainingError("\(reason); so were the \(ServerCore.mostSkipped) steps before it")
    }
    steps += 1
    isStale = true
  }

  /// Makes the part of the optimizer step that `computeGradients` has prepared; the last ends it.
  package func applyGradients(part: Int = 0) {
    network.update(
      step: steps, part: part, of: program.totalSteps, reductions: validation.reductions,
      probe: probe)
    if part == parts - 1 { steps += 1 }
  }

  /// Runs the whole test set with the parameters as they are.
  package func evaluate() throws(TrainingError) -> Tally {
    let batch = UInt64(context.plan.globalBatch)
    let batches = (data.facts.evaluationExamples + batch - 1) / batch
    var sum = Tally.zero
    for index in 0..<batches {
      let turn = { Turn.evaluation(round: 0, batch: $0, step: self.steps) }
      sum =
        sum
        + (try evaluate(turn(index), prefetching: index + 1 < batches ? turn(index + 1) : nil))
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

  private func evaluate(_ turn: Turn, prefetching next: Turn?) throws(TrainingError) -> Tally {
    try load(turn, prefetching: next)
    return network.evaluate(
      step: steps, examples: context.plan.examples(of: turn, data.facts))
  }

  /// Runs a turn's batch through the conv layers, while the batch of the next one is loaded.
  private func load(
    _ turn: Turn, prefetching next: Turn?, jitter: UInt32? = nil
  ) throws(TrainingError) {
    let batch: Batch
    do throws(DatasetError) {
      batch = try loader.take(request(turn))
    } catch {
      throw TrainingError("\(error)")
    }
    defer { loader.recycle(batch) }
    if let next { loader.request(request(next)) }
    network.load(batch, jitter: jitter)
  }

  private func request(_ turn: Turn) -> BatchRequest {
    BatchRequest(
      kind: turn.isTraining ? .training : .evaluation,
      firstPosition: context.plan.firstPosition(of: turn), rows: context.plan.globalBatch)
  }
}
