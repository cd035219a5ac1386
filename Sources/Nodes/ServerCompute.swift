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
  private struct Version {
    /// One vector a stage: weight elements, then bias elements.
    var values: [AlignedBuffer]
    var velocities: [AlignedBuffer]

    init(_ stages: [ConvolutionalStage]) {
      values = stages.map { AlignedBuffer(floats: $0.parameterCount) }
      velocities = stages.map { AlignedBuffer(floats: $0.parameterCount) }
    }
  }

  private let context: RunContext
  private let stages: [ConvolutionalStage]
  private var committed: Version
  private var working: Version
  private let sum: AlignedBuffer
  private let pool = FramePool()
  private let probe: (any StepProbe)?
  private let totalSteps: @Sendable () -> UInt64
  /// Whole FC parameters, by key, as the nodes' slices come in at the end.
  private var dense: [Int: AlignedBuffer] = [:]
  private let modelPath: String?
  private let metadata: [String: String]
  /// Called with the model's tensors before they are written (verify, in-process callers).
  private let onModel: (@Sendable (ModelTensors) -> Void)?
  /// Where the first layer's filters are put up when somebody wants to see them.
  private let board: StatusBoard?
  private let tensorBoard: BoardWriter?

  init(
    context: RunContext, modelPath: String?, metadata: [String: String],
    probe: (any StepProbe)?, onModel: (@Sendable (ModelTensors) -> Void)?,
    board: StatusBoard? = nil, tensorBoard: BoardWriter? = nil,
    totalSteps: @escaping @Sendable () -> UInt64
  ) throws(TrainingError) {
    self.context = context
    self.modelPath = modelPath
    self.metadata = metadata
    self.probe = probe
    self.onModel = onModel
    self.board = board
    self.tensorBoard = tensorBoard
    self.totalSteps = totalSteps
    stages = context.network.stages
    committed = Version(stages)
    working = Version(stages)
    sum = AlignedBuffer(
      floats: context.plan.chunks.chunks.map(\.range.count).max() ?? 0)
    let start = context.inputs.parameters
    try start.check(against: context.network.parameters)
    for (stage, vector) in zip(stages, committed.values) {
      try start.write(stage, seed: context.configuration.seed, into: vector.floatPointer)
    }
    if let filters = filters(afterSteps: 0) { board?.publish(filters) }
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
      return .applied(apply(context.plan.chunks.chunks[chunk], gradients, step))
    case .commit(let step):
      swap(&committed, &working)
      show(afterSteps: step + 1)
      return .done
    case .snapshot:
      return .snapshot(
        context.plan.chunks.chunks.map { frame($0, of: committed.values[$0.stage]) })
    case .tally(let counts, let lossSum): return .tallied(tally(counts, lossSum))
    case .store(let slice, let frames, let name): return store(slice, frames, name)
    case .save(let steps): return save(steps)
    }
  }

  // MARK: Steps

  private func frame(_ chunk: Chunk, of vector: AlignedBuffer) -> Frame {
    pool.frame(floats: chunk.range.count) { target in
      target.baseAddress?.update(
        from: vector.floatPointer + chunk.range.lowerBound, count: chunk.range.count)
    }
  }

  private func apply(_ chunk: Chunk, _ gradients: [Frame], _ step: UInt64) -> Frame {
    let gradient = total(gradients, count: chunk.range.count)
    let stage = stages[chunk.stage]
    var first = 0
    for entry in stage.parameters {
      let part = chunk.range.clamped(to: first..<first + entry.shape.count)
      if !part.isEmpty {
        probe?.gradient(
          step: step, of: entry,
          region: ParameterRegion(
            elements: part.lowerBound - first..<part.upperBound - first, of: entry),
          values: gradient + (part.lowerBound - chunk.range.lowerBound))
        context.sgd(entry.kind, step: step, of: totalSteps()).update(
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
    return frame(chunk, of: working.values[chunk.stage])
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

  // MARK: The model

  private func store(
    _ slice: Slice, _ frames: [Frame], _ name: NodeName
  ) -> ServerCore.Outcome {
    let entries = context.network.parameters.entries
    guard entries.indices.contains(slice.key), entries[slice.key].dense else {
      return .failed("\(name) sent a slice of parameter \(slice.key), which is not an fc one")
    }
    let entry = entries[slice.key]
    let height = entry.shape[0]
    let width = entry.shape.count / height
    guard slice.firstRow >= 0, slice.firstColumn >= 0, slice.firstRow + slice.rows <= height,
      slice.firstColumn + slice.columns <= width,
      frames.reduce(0, { $0 + $1.byteCount }) == slice.rows * slice.columns * 4
    else {
      return .failed("\(name) sent a slice of \(entry.name) that does not fit \(entry.shape)")
    }
    let whole = dense[slice.key] ?? AlignedBuffer(floats: entry.shape.count)
    dense[slice.key] = whole
    RowBlocks.place(
      frames, into: whole.floatPointer, stride: width,
      rows: slice.firstRow..<slice.firstRow + slice.rows,
      columns: slice.firstColumn..<slice.firstColumn + slice.columns)
    return .done
  }

  private func save(_ steps: UInt64) -> ServerCore.Outcome {
    var tensors: [ModelTensors.Tensor] = []
    for entry in context.network.parameters.entries where entry.dense {
      guard let buffer = dense[entry.key] else { return .failed("no slice of \(entry.name)") }
      tensors.append(.init(entry, at: UnsafePointer(buffer.floatPointer)))
    }
    for (stage, vector) in zip(stages, committed.values) {
      var offset = 0
      for entry in stage.parameters {
        tensors.append(.init(entry, at: UnsafePointer(vector.floatPointer + offset)))
        offset += entry.shape.count
      }
    }
    let model = ModelTensors(steps: steps, tensors: tensors)
    onModel?(model)
    guard let modelPath else { return .done }
    var metadata = metadata
    metadata["steps"] = "\(steps)"
    do throws(SafeTensorsError) {
      try SafeTensorsWriter().write(
        to: modelPath,
        tensors: tensors.map { (name: $0.name, shape: $0.shape.extents, data: $0.values) },
        metadata: metadata)
      return .done
    } catch {
      return .failed("\(error)")
    }
  }
}
