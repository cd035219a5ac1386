import Configuration
import Coordination
import Datasets
import Kernels
import Network
import Tensors

/// The whole network in one place, nothing cut and nothing sent: the convolutional stack over the
/// global batch, then the fully connected layers as one slice, or a slice a sub-batch if the FC
/// weights step that often or each has its own sample of the classes.
///
/// Belongs to the thread that made it.
final class WholeNetwork {
  private let context: RunContext
  private let stages: [ConvolutionalStage]
  private let stack: ConvolutionStack
  /// The first one's parameters are everybody's.
  private let lanes: [DenseSlice]
  /// Rows of the batch that each lane has.
  private let rows: Partition
  private var slice: DenseSlice { lanes[0] }
  /// Whether the FC weights step once a sub-batch.
  private let stepsEachSubBatch: Bool
  private let segments: (training: Int, evaluation: Int)
  /// One vector a stage: weight elements, then bias elements.
  private let values: [AlignedBuffer]
  private let velocities: [AlignedBuffer]
  private let gradients: [AlignedBuffer]
  private var ranks: [Int32]

  /// Plans all memory and takes over the starting parameters.
  ///
  /// - Parameter training: `false` plans no backward pass of the convolutional part, and no memory
  ///   for the gradients of the fully connected one's parameters.
  init(_ context: RunContext, training: Bool) throws(TrainingError) {
    self.context = context
    let plan = context.network
    let batch = context.plan.globalBatch
    stepsEachSubBatch = training && context.plan.schedule.updatesEachSubBatch
    rows =
      stepsEachSubBatch || (training && plan.sampleRate < 1)
      ? context.plan.subBatches : Partition(count: batch, parts: 1)
    stages = plan.stages
    let cut = DenseCut(plan, nodes: 1)
    segments = (cut.segmentCount(training: true), cut.segmentCount(training: false))
    ranks = Array(repeating: 0, count: batch)
    let start = context.inputs.parameters
    try start.check(against: plan.parameters)
    do throws(KernelError) {
      stack = try ConvolutionStack(
        plan: plan, rows: batch, training: training, algorithm: context.convolutionAlgorithm,
        precision: context.configuration.precision)
    } catch {
      throw TrainingError("\(error)")
    }
    var lanes: [DenseSlice] = []
    for range in rows.ranges {
      let lane = DenseSlice(
        plan: plan, cut: cut, rank: 0, rows: range.count, seed: context.configuration.seed,
        precision: context.configuration.precision, lender: lanes.first, trains: training,
        keepsWorking: stepsEachSubBatch)
      for (index, row) in range.enumerated() { lane.positions[index] = UInt32(row) }
      lanes.append(lane)
    }
    self.lanes = lanes
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

  /// Parts of a training step, each of which ends in gradients that are applied before the next
  /// begins: one; where the FC weights step once a sub-batch, one for each and one for the conv
  /// layers.
  var parts: Int { stepsEachSubBatch ? lanes.count + 1 : 1 }

  /// Runs a batch through the conv layers.
  ///
  /// - Parameter jitter: changes every input by 2^-22 of it, up or down as this number has it.
  func load(_ batch: Batch, jitter: UInt32? = nil) {
    copy(UnsafePointer(batch.images.baseAddress), batch.images.count, to: stack.input.baseAddress)
    if let jitter { disturb(stack.input, jitter) }
    for stage in stages { stack.forward(stage: stage.index) }
    let width = context.network.features
    for (lane, range) in zip(lanes, rows.ranges) {
      let first = range.lowerBound
      copy(batch.labels.baseAddress.map { UnsafePointer($0) + first }, range.count, to: lane.labels)
      copy(
        stack.features.baseAddress.map { UnsafePointer($0) + first * width }, range.count * width,
        to: lane.features)
    }
  }

  /// Runs the loaded batch through the FC layers.
  ///
  /// - Parameter examples: rows that are not padding, the divisor of the mean loss.
  func evaluate(step: UInt64, examples: Int) -> Tally {
    slice.readsWorking = false
    for lane in lanes {
      run(lane, DensePass(training: false, step: step, examples: examples), segments.evaluation)
    }
    return tally(lanes.count)
  }

  /// Computes the gradients of a part of a step on the loaded batch: they are then ready for
  /// `update`.
  ///
  /// - Parameters:
  ///   - step: key of the dropout masks.
  ///   - part: the parts before it have been computed and applied.
  /// - Returns: loss and ranks of the sub-batches so far.
  func computeGradients(step: UInt64, part: Int) -> Tally {
    let width = context.network.features
    let batch = Float(context.plan.globalBatch)
    let pass = DensePass(training: true, step: step, examples: context.plan.globalBatch)
    slice.readsWorking = stepsEachSubBatch && part > 0
    let own = lanes(of: part)
    for index in own {
      let (lane, range) = (lanes[index], rows[index])
      run(lane, pass, segments.training)
      lane.computeParameterGradients(
        accumulate: index > own.lowerBound,
        scale: stepsEachSubBatch ? batch / Float(range.count) : 1)
    }
    if part == parts - 1 {
      for (lane, range) in zip(lanes, rows.ranges) {
        copy(
          lane.featureGradient, range.count * width,
          to: stack.featureGradient.baseAddress.map { $0 + range.lowerBound * width })
      }
      for stage in stages.reversed() {
        stack.backward(stage: stage.index)
        if stage.parameterCount > 0 {
          stack.writeGradient(
            stage: stage.index, into: gradients[stage.index].floatPointer)
        }
      }
    }
    return tally(own.isEmpty ? lanes.count : own.upperBound)
  }

  /// The sub-batches whose gradients a part of a step has.
  private func lanes(of part: Int) -> Range<Int> {
    guard stepsEachSubBatch else { return lanes.indices }
    return part < lanes.count ? part..<part + 1 : lanes.count..<lanes.count
  }

  private func run(_ lane: DenseSlice, _ pass: DensePass, _ segments: Int) {
    lane.begin(pass)
    for segment in 0..<segments { lane.run(segment: segment, received: []) }
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

  private func tally(_ count: Int) -> Tally {
    var tally = Tally.zero
    ranks.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      for (lane, range) in zip(lanes.prefix(count), rows.ranges) {
        lane.writeRanks(into: base + range.lowerBound)
        tally.lossSum += lane.lossSum
      }
    }
    for rank in ranks[..<rows[count - 1].upperBound] where rank >= 0 { tally.count(rank: rank) }
    return tally
  }

  private func copy<Value: BitwiseCopyable>(
    _ source: UnsafePointer<Value>?, _ count: Int, to target: UnsafeMutablePointer<Value>?
  ) {
    guard let source, let target else { return }
    target.update(from: source, count: count)
  }

  // MARK: The update

  /// The parameters of a part of a step with their gradients, row-major.
  func gradients(
    part: Int
  ) -> [(entry: ParameterTable.Entry, values: UnsafeMutablePointer<Float>)] {
    var all: [(entry: ParameterTable.Entry, values: UnsafeMutablePointer<Float>)] = []
    if part == parts - 1 {
      for stage in stages {
        var offset = 0
        for entry in stage.parameters {
          all.append((entry, gradients[stage.index].floatPointer + offset))
          offset += entry.shape.count
        }
      }
    }
    return lanes(of: part).isEmpty
      ? all : all + slice.parameters.map { ($0.entry, $0.gradient) }
  }

  /// Applies the gradients of a part of a step.
  func update(
    step: UInt64, part: Int, of total: UInt64, reductions: Int, probe: (any StepProbe)?
  ) {
    if !lanes(of: part).isEmpty {
      context.update(
        slice, step: step, subBatch: stepsEachSubBatch ? part : nil, of: total,
        reductions: reductions, probe: probe)
    }
    guard part == parts - 1 else { return }
    slice.commit()
    for stage in stages {
      var offset = 0
      for entry in stage.parameters {
        let count = entry.shape.count
        let gradient = UnsafePointer(gradients[stage.index].floatPointer + offset)
        probe?.gradient(
          step: step, subBatch: nil, of: entry,
          region: ParameterRegion(elements: 0..<count, of: entry), values: gradient)
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
