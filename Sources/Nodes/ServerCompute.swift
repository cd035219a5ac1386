import Configuration
import Coordination
import Kernels
import Messages
import Network
import Observability
import Tensors
import Training

/// The parameter server's computations: the convolutional parameters in two versions, the
/// optimizer, and the model file.
///
/// A chunk's step reads the committed version and writes the working one, so that a turn that is
/// not committed can be forgotten at no cost; the commit swaps the two.
final class ServerCompute: Performer {
  private let context: RunContext
  private let stages: [ConvolutionalStage]
  private var committed: ConvolutionalVersion
  private var working: ConvolutionalVersion
  private let sum: AlignedBuffer
  private let pool = FramePool()
  private let probe: (any StepProbe)?
  private let totalSteps: @Sendable () -> UInt64
  /// How often validation has lowered the learning rate.
  private let reductions: @Sendable () -> Int
  private let rates: RateSheet
  /// Model and checkpoints.
  private let archive: ServerArchive
  /// Where the first layer's filters are put up when somebody wants to see them.
  private let board: StatusBoard?
  private let tensorBoard: BoardWriter?

  /// - Parameter resumeSteps: steps of the checkpoint to start from; 0 starts anew.
  init(
    context: RunContext, archive: ServerArchive, resumeSteps: UInt64, probe: (any StepProbe)?,
    board: StatusBoard? = nil, tensorBoard: BoardWriter? = nil,
    totalSteps: @escaping @Sendable () -> UInt64, reductions: @escaping @Sendable () -> Int,
    rates: RateSheet
  ) throws {
    self.context = context
    self.archive = archive
    self.probe = probe
    self.board = board
    self.tensorBoard = tensorBoard
    self.totalSteps = totalSteps
    self.reductions = reductions
    self.rates = rates
    stages = context.network.stages
    committed = ConvolutionalVersion(stages)
    working = ConvolutionalVersion(stages)
    sum = AlignedBuffer(
      floats: context.plan.chunks.chunks.map(\.range.count).max() ?? 0)
    try context.inputs.parameters.check(against: context.network.parameters)
    try rollBack(resumeSteps)
    if let filters = filters(afterSteps: resumeSteps) { board?.publish(filters) }
  }

  func close() {}

  /// Shows parameters to who wants to see them: some 100 kB are copied every few seconds at most,
  /// and all are counted for TensorBoard every half minute.
  private func show(afterSteps steps: UInt64) {
    if let board, board.wantsFilters, let filters = filters(afterSteps: steps) {
      board.publish(filters)
    }
    guard let tensorBoard, tensorBoard.wantsParameters else { return }
    var histograms: [(name: String, values: ValueHistogram)] = []
    for stage in stages {
      var offset = 0
      for entry in stage.parameters {
        let values = UnsafeBufferPointer(
          start: UnsafePointer(committed.values[stage.index].floatPointer) + offset,
          count: entry.shape.count)
        histograms.append(("\(entry.layerName)/\(entry.kind.rawValue)", ValueHistogram(values)))
        offset += entry.shape.count
      }
    }
    tensorBoard.append(
      filters: filters(afterSteps: steps), histograms: histograms, step: steps)
  }

  /// The first conv layer's weights; `nil` in a network without one.
  private func filters(afterSteps steps: UInt64) -> FilterSnapshot? {
    guard let stage = stages.first(where: { !$0.parameters.isEmpty }),
      case .convolution(let convolution) = context.network.convolutional[stage.layers.lowerBound]
        .operation
    else { return nil }
    let entry = stage.parameters[0]
    return FilterSnapshot(
      layer: entry.layerName, step: steps, shape: entry.shape.extents, groups: convolution.groups,
      values: Array(
        UnsafeBufferPointer(
          start: UnsafePointer(committed.values[stage.index].floatPointer),
          count: entry.shape.count)))
  }

  func perform(_ operation: ServerCore.Operation) -> ServerCore.Outcome {
    switch operation {
    case .apply(let chunk, let gradients, let step):
      return apply(context.plan.chunks.chunks[chunk], gradients, step)
    case .commit(let step):
      swap(&committed, &working)
      show(afterSteps: step + 1)
      return .done
    case .snapshot:
      return .snapshot(
        context.plan.chunks.chunks.map { frame($0, of: committed.values[$0.stage]) })
    case .tally(let counts, let lossSum): return .tallied(tally(counts, lossSum))
    case .beginCheckpoint:
      archive.begin(keeping: committed)
      return .done
    case .store(let slice, let frames, let name): return archive.store(slice, frames, name)
    case .finishCheckpoint(let steps): return archive.finish(steps)
    case .save(let steps): return archive.save(steps, committed)
    case .rollBack(let steps):
      do {
        try rollBack(steps)
        return .done
      } catch {
        return .failed("\(error)")
      }
    case .cut(let rank, let transfer): return archive.cut(rank: rank, transfer, pool)
    }
  }

  /// Takes the committed version from the checkpoint after `steps` steps, or the parameters that
  /// the run began with.
  private func rollBack(_ steps: UInt64) throws {
    if steps > 0 { return try archive.open(steps, into: committed) }
    for (stage, index) in zip(stages, stages.indices) {
      try context.inputs.parameters.write(
        stage, seed: context.configuration.seed, into: committed.values[index].floatPointer)
      committed.velocities[index].floatPointer.update(repeating: 0, count: stage.parameterCount)
    }
  }

  // MARK: Steps

  private func frame(_ chunk: Chunk, of vector: AlignedBuffer) -> Frame {
    let frame = pool.frame(floats: chunk.range.count) { target in
      target.baseAddress?.update(
        from: vector.floatPointer + chunk.range.lowerBound, count: chunk.range.count)
    }
    return pool.pack([frame], as: context.plan.wire.parameters)[0]
  }

  private func apply(
    _ chunk: Chunk, _ gradients: [Frame], _ step: UInt64
  ) -> ServerCore.Outcome {
    let gradient = total(gradients, count: chunk.range.count)
    let stage = stages[chunk.stage]
    if let culprit = notFinite(gradient, chunk, gradients) { return culprit }
    var first = 0
    for entry in stage.parameters {
      let part = chunk.range.clamped(to: first..<first + entry.shape.count)
      if !part.isEmpty {
        probe?.gradient(
          step: step, of: entry,
          region: ParameterRegion(
            elements: part.lowerBound - first..<part.upperBound - first, of: entry),
          values: gradient + (part.lowerBound - chunk.range.lowerBound))
        context.sgd(
          entry, step: step, of: totalSteps(), reductions: reductions(),
          rateFactor: rates.factor(at: step)
        ).update(
          count: part.count,
          gradient: gradient + (part.lowerBound - chunk.range.lowerBound),
          weight: UnsafePointer(committed.values[chunk.stage].floatPointer + part.lowerBound),
          velocity: UnsafePointer(
            committed.velocities[chunk.stage].floatPointer + part.lowerBound),
          newWeight: working.values[chunk.stage].floatPointer + part.lowerBound,
          newVelocity: working.velocities[chunk.stage].floatPointer + part.lowerBound)
      }
      first += entry.shape.count
    }
    let new = UnsafePointer(working.values[chunk.stage].floatPointer + chunk.range.lowerBound)
    if let index = UnsafeBufferPointer(start: new, count: chunk.range.count).firstNonFinite {
      return .notFinite(
        worker: nil, what: "the step would make a parameter of \(stage.name) \(new[index])")
    }
    return .applied(frame(chunk, of: working.values[chunk.stage]))
  }

  /// Whose gradient has made the sum infinite or not a number; `nil` if it is neither.
  private func notFinite(
    _ sum: UnsafePointer<Float>, _ chunk: Chunk, _ gradients: [Frame]
  ) -> ServerCore.Outcome? {
    guard let index = UnsafeBufferPointer(start: sum, count: chunk.range.count).firstNonFinite
    else { return nil }
    let parts = pool.unpack(gradients, from: context.plan.wire.gradients)
    let worker = parts.firstIndex { !$0.floats[index].isFinite }
    let value = worker.map { parts[$0].floats[index] } ?? sum[index]
    let name = stages[chunk.stage].name
    return .notFinite(
      worker: worker,
      what: worker == nil
        ? "the sum of the gradients of \(name) is \(value)"
        : "its gradient of \(name) is \(value)")
  }

  /// Sums in worker order, so that the same shape gives the same bits.
  private func total(_ gradients: [Frame], count: Int) -> UnsafePointer<Float> {
    let target = sum.floatPointer
    let unpacked = pool.unpack(gradients, from: context.plan.wire.gradients)
    for (index, frame) in unpacked.enumerated() {
      guard let source = frame.floats.baseAddress else { continue }
      if index == 0 {
        target.update(from: source, count: count)
      } else {
        for element in 0..<count { target[element] += source[element] }
      }
    }
    return UnsafePointer(target)
  }

  private func tally(_ counts: [Frame], _ lossSum: Double) -> Tally {
    var tally = Tally.zero
    tally.lossSum = lossSum
    for row in 0..<context.plan.globalBatch {
      // Each slice counts its logits above the true one: the sum is the true class's rank.
      var rank: Int32 = 0
      var isPadding = false
      for frame in counts {
        let count = frame.int32s[row]
        if count < 0 { isPadding = true } else { rank += count }
      }
      if !isPadding { tally.count(rank: rank) }
    }
    return tally
  }
}
