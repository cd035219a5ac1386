import Configuration
import Coordination
import Kernels
import Messages
import Network
import Tensors
import Training

/// What a parameter server does with its chunks of the convolutional parameters: two versions, and
/// the optimizer between them. Confined to the compute thread.
///
/// A chunk's step reads the committed version and writes the working one, so that a turn that is
/// not committed can be forgotten at no cost; the commit swaps the two. Chunks of other shards have
/// memory in both, and mean nothing there.
final class ChunkStore {
  private let context: RunContext
  private let stages: [ConvolutionalStage]
  /// The chunks that the server owns, ascending: first layers first.
  let owned: [Chunk]
  private(set) var committed: ConvolutionalVersion
  private var working: ConvolutionalVersion
  private let sum: AlignedBuffer
  let pool = FramePool()
  private let probe: (any StepProbe)?
  private let rates: RateSheet

  /// - Parameter rank: the shard; 0 is the coordinator.
  init(
    context: RunContext, shard rank: Int, probe: (any StepProbe)?, rates: RateSheet
  ) {
    self.context = context
    self.probe = probe
    self.rates = rates
    stages = context.network.stages
    owned = context.plan.shards.chunks[rank].map { context.plan.chunks.chunks[$0] }
    committed = ConvolutionalVersion(stages)
    working = ConvolutionalVersion(stages)
    sum = AlignedBuffer(floats: owned.map(\.range.count).max() ?? 0)
  }

  /// Takes the parameters that the run began with, velocities zero.
  func setInitialValues() throws(TrainingError) {
    for (stage, index) in zip(stages, stages.indices) {
      try context.inputs.parameters.write(
        stage, seed: context.configuration.seed, into: committed.values[index].floatPointer)
      committed.velocities[index].floatPointer.update(repeating: 0, count: stage.parameterCount)
    }
  }

  /// Whether every value of a parameter is the server's own.
  func owns(_ part: ConvolutionalStage.Part, of stage: ConvolutionalStage) -> Bool {
    let range = part.offset..<part.offset + part.elements.count
    return owned.reduce(0) { sum, chunk in
      sum + (chunk.stage == stage.index ? chunk.range.clamped(to: range).count : 0)
    } == range.count
  }

  // MARK: Steps

  /// What came of a chunk's step.
  enum Outcome {
    /// Its new parameters.
    case applied(Frame)
    /// A number is infinite or not a number; by which position among the workers, if by one.
    case notFinite(worker: Int?, what: String)
  }

  /// Sums the gradients of a chunk in the order given and steps it.
  func apply(_ index: Int, _ gradients: [Frame], _ step: UInt64) -> Outcome {
    let chunk = context.plan.chunks.chunks[index]
    let stage = stages[chunk.stage]
    let unpacked = pool.unpack(gradients, from: context.plan.wire.gradients)
    var sources = unpacked.compactMap(\.floats.baseAddress)
    if probe != nil {
      // It sees the sum before it is applied.
      let sum = total(unpacked, count: chunk.range.count)
      if let problem = notFinite(sum, chunk, unpacked) { return problem }
      tell(chunk, sum, step)
      sources = [sum]
    }
    var isFinite = true
    let frame = pool.frame(floats: chunk.range.count) { copy in
      guard let copy = copy.baseAddress else { return }
      for part in stage.parts(of: chunk.range) {
        let first = part.offset - chunk.range.lowerBound
        let sgd = context.sgd(
          part.entry, step: step, of: rates.totalSteps, reductions: rates.reductions,
          rateFactor: rates.factor(at: step))
        let memory = SummedStep.Memory(
          weight: UnsafePointer(committed.values[chunk.stage].floatPointer + part.offset),
          velocity: UnsafePointer(committed.velocities[chunk.stage].floatPointer + part.offset),
          newWeight: working.values[chunk.stage].floatPointer + part.offset,
          newVelocity: working.velocities[chunk.stage].floatPointer + part.offset,
          copy: copy + first)
        let range = first..<first + part.elements.count
        let isPartFinite = withExtendedLifetime(unpacked) {
          SummedStep(sgd, gradients: sources).run(range, memory)
        }
        isFinite = isFinite && isPartFinite
      }
    }
    if !isFinite {
      let sum = total(unpacked, count: chunk.range.count)
      if let problem = notFinite(sum, chunk, unpacked) { return problem }
      if let index = frame.floats.firstNonFinite {
        return .notFinite(
          worker: nil,
          what: "the step would make a parameter of \(stage.name) \(frame.floats[index])")
      }
    }
    return .applied(pool.pack([frame], as: context.plan.wire.parameters)[0])
  }

  /// Shows the sum to who wants to see it.
  private func tell(_ chunk: Chunk, _ sum: UnsafePointer<Float>, _ step: UInt64) {
    for part in stages[chunk.stage].parts(of: chunk.range) {
      probe?.gradient(
        step: step, subBatch: nil, of: part.entry,
        region: ParameterRegion(elements: part.elements, of: part.entry),
        values: sum + (part.offset - chunk.range.lowerBound))
    }
  }

  /// Whose gradient has made the sum infinite or not a number; `nil` if it is neither.
  private func notFinite(
    _ sum: UnsafePointer<Float>, _ chunk: Chunk, _ parts: [Frame]
  ) -> Outcome? {
    guard let index = UnsafeBufferPointer(start: sum, count: chunk.range.count).firstNonFinite
    else { return nil }
    let worker = parts.firstIndex { !$0.floats[index].isFinite }
    let value = worker.map { parts[$0].floats[index] } ?? sum[index]
    let name = stages[chunk.stage].name
    return .notFinite(
      worker: worker,
      what: worker == nil
        ? "the sum of the gradients of \(name) is \(value)"
        : "its gradient of \(name) is \(value)")
  }

  /// The working version becomes the committed one: every chunk of the server has stepped.
  func commit() { swap(&committed, &working) }

  /// A frame of each chunk of the committed version.
  func snapshot() -> [Frame] { owned.map { frame($0, of: committed.values[$0.stage]) } }

  private func frame(_ chunk: Chunk, of vector: AlignedBuffer) -> Frame {
    let frame = pool.frame(floats: chunk.range.count) { target in
      target.baseAddress?.update(
        from: vector.floatPointer + chunk.range.lowerBound, count: chunk.range.count)
    }
    return pool.pack([frame], as: context.plan.wire.parameters)[0]
  }

  /// Sums in worker order, so that the same shape gives the same bits.
  private func total(_ gradients: [Frame], count: Int) -> UnsafePointer<Float> {
    let target = sum.floatPointer
    for (index, frame) in gradients.enumerated() {
      guard let source = frame.floats.baseAddress else { continue }
      if index == 0 {
        target.update(from: source, count: count)
      } else {
        for element in 0..<count { target[element] += source[element] }
      }
    }
    return UnsafePointer(target)
  }

  // MARK: Whole parameters

  /// The chunks' parts of each parameter as slices: ranges of the flattened tensor, as one row.
  func collect(_ transfer: UInt32) -> [(Slice, [Frame])] {
    var slices: [(Slice, [Frame])] = []
    for chunk in owned {
      for part in stages[chunk.stage].parts(of: chunk.range) {
        for kind in Slice.Part.allCases {
          let source = kind == .value ? committed.values : committed.velocities
          let frame = pool.frame(floats: part.elements.count) { target in
            target.baseAddress?.update(
              from: source[chunk.stage].floatPointer + part.offset, count: part.elements.count)
          }
          slices.append((part.slice(kind, transfer: transfer, number: slices.count), [frame]))
        }
      }
    }
    // A shard is never without a chunk: the configuration allows no more shards than chunks.
    slices[slices.count - 1].0.isLast = true
    return slices
  }

  /// Puts a piece that the coordinator gives back into the committed version.
  ///
  /// - Returns: what is wrong with it, or `nil`.
  func place(_ slice: Slice, _ frames: [Frame]) -> String? {
    committed.place(slice, frames, stages)
      ? nil : "the server gave a piece of parameter \(slice.key) that is not mine"
  }
}
