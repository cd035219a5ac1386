import Configuration
import Coordination
import Datasets
import Kernels
import Network
import Tensors

/// The whole network in one place, nothing cut and nothing sent: the convolutional stack over the
/// global batch, then the fully connected layers as one slice.
///
/// Belongs to the thread that made it.
final class WholeNetwork {
  private let context: RunContext
  private let stages: [ConvolutionalStage]
  private let stack: ConvolutionStack
  private let slice: DenseSlice
  private let segments: (training: Int, evaluation: Int)
  /// One vector a stage: weight elements, then bias elements.
  private let values: [AlignedBuffer]
  private let velocities: [AlignedBuffer]
  private let gradients: [AlignedBuffer]
  private var ranks: [Int32]

  /// Plans all memory and takes over the starting parameters.
  ///
  /// - Parameter training: `false` plans no backward pass of the convolutional part.
  init(_ context: RunContext, training: Bool) throws(TrainingError) {
    self.context = context
    let plan = context.network
    let rows = context.plan.globalBatch
    stages = plan.stages
    let cut = DenseCut(plan, nodes: 1)
    segments = (cut.segmentCount(training: true), cut.segmentCount(training: false))
    ranks = Array(repeating: 0, count: rows)
    let start = context.inputs.parameters
    try start.check(against: plan.parameters)
    do throws(KernelError) {
      stack = try ConvolutionStack(
        plan: plan, rows: rows, training: training, algorithm: context.convolutionAlgorithm,
        precision: context.configuration.precision)
    } catch {
      throw TrainingError("\(error)")
    }
    slice = DenseSlice(
      plan: plan, cut: cut, rank: 0, rows: rows, seed: context.configuration.seed,
      precision: context.configuration.precision)
    let learning = training ? plan.stages : []
    values = plan.stages.map { AlignedBuffer(floats: $0.parameterCount) }
    velocities = learning.map { AlignedBuffer(floats: $0.parameterCount) }
    gradients = learning.map { AlignedBuffer(floats: $0.parameterCount) }
    for (stage, vector) in zip(stages, values) {
      try start.write(stage, seed: context.configuration.seed, into: vector.floatPointer)
      stack.setParameters(stage: stage.index, from: vector.floatPointer)
    }
    try start.load(into: slice)
  }

  // MARK: A pass

  /// Runs a batch forward and, if training, backward: the gradients are then ready for `update`.
  ///
  /// - Parameters:
  ///   - step: key of the dropout masks.
  ///   - examples: rows that are not padding, the divisor of the mean loss.
  ///   - jitter: changes every input by 2^-22 of it, up or down as this number has it.
  func pass(
    _ batch: Batch, training: Bool, step: UInt64, examples: Int, jitter: UInt32? = nil
  ) -> Tally {
    copy(UnsafePointer(batch.images.baseAddress), batch.images.count, to: stack.input.baseAddress)
    if let jitter { disturb(stack.input, jitter) }
    copy(UnsafePointer(batch.labels.baseAddress), batch.labels.count, to: slice.labels)
    for stage in stages { stack.forward(stage: stage.index) }
    copy(stack.features.baseAddress, stack.features.count, to: slice.features)
    slice.begin(DensePass(training: training, step: step, examples: examples))
    for segment in 0..<(training ? segments.training : segments.evaluation) {
      slice.run(segment: segment, received: [])
    }
    if training {
      copy(
        slice.featureGradient, stack.featureGradient.count, to: stack.featureGradient.baseAddress)
      slice.computeParameterGradients()
      for stage in stages.reversed() {
        stack.backward(stage: stage.index)
        if stage.parameterCount > 0 {
          stack.writeGradient(
            stage: stage.index, into: gradients[stage.index].floatPointer)
        }
      }
    }
    return tally()
  }

  /// `[rows, classes]` of the last pass, until the next.
  var logits: UnsafeBufferPointer<Float> { slice.logits }

  private func disturb(_ values: UnsafeMutableBufferPointer<Float>, _ jitter: UInt32) {
    let stream = RandomStream(seed: UInt64(jitter), purpose: .simulation)
    for index in values.indices {
      let isUp = stream.word(at: UInt64(index)) & 1 == 0
      values[index] *= isUp ? 1 + 0x1p-22 : 1 - 0x1p-22
    }
  }

  private func tally() -> Tally {
    ranks.withUnsafeMutableBufferPointer { buffer in
      if let base = buffer.baseAddress { slice.writeRanks(into: base) }
    }
    var tally = Tally.zero
    tally.lossSum = slice.lossSum
    for rank in ranks where rank >= 0 { tally.count(rank: rank) }
    return tally
  }

  private func copy<Value: BitwiseCopyable>(
    _ source: UnsafePointer<Value>?, _ count: Int, to target: UnsafeMutablePointer<Value>?
  ) {
    guard let source, let target else { return }
    target.update(from: source, count: count)
  }

  // MARK: The update

  /// Every parameter with its gradient of the last training pass, row-major.
  var parameterGradients: [(entry: ParameterTable.Entry, values: UnsafeMutablePointer<Float>)] {
    var all: [(entry: ParameterTable.Entry, values: UnsafeMutablePointer<Float>)] = []
    for stage in stages {
      var offset = 0
      for entry in stage.parameters {
        all.append((entry, gradients[stage.index].floatPointer + offset))
        offset += entry.shape.count
      }
    }
    return all + slice.parameters.map { ($0.entry, $0.gradient) }
  }

  /// Applies the gradients of the last training pass.
  func update(step: UInt64, of total: UInt64, reductions: Int, probe: (any StepProbe)?) {
    for stage in stages {
      var offset = 0
      for entry in stage.parameters {
        let count = entry.shape.count
        let gradient = UnsafePointer(gradients[stage.index].floatPointer + offset)
        probe?.gradient(
          step: step, of: entry, region: ParameterRegion(elements: 0..<count, of: entry),
          values: gradient)
        let value = values[stage.index].floatPointer + offset
        let velocity = velocities[stage.index].floatPointer + offset
        context.sgd(entry, step: step, of: total, reductions: reductions).update(
          count: count, gradient: gradient, weight: value, velocity: velocity, newWeight: value,
          newVelocity: velocity)
        offset += count
      }
      if offset > 0 {
        stack.setParameters(stage: stage.index, from: values[stage.index].floatPointer)
      }
    }
    context.update(slice, step: step, of: total, reductions: reductions, probe: probe)
  }

  // MARK: The model

  /// The parameters as they are now; the memory is valid until the next update.
  func model(steps: UInt64) -> ModelTensors {
    var tensors: [ModelTensors.Tensor] = []
    for stage in stages {
      var offset = 0
      for entry in stage.parameters {
        tensors.append(
          .init(entry, at: UnsafePointer(values[stage.index].floatPointer + offset)))
        offset += entry.shape.count
      }
    }
    for parameter in slice.parameters {
      tensors.append(.init(parameter.entry, at: UnsafePointer(parameter.value)))
    }
    return ModelTensors(steps: steps, tensors: tensors)
  }
}
