import Configuration
import Coordination
import Kernels
import Messages
import Network
import Observability
import Tensors
import Training

/// The coordinating parameter server's computations: its chunks of the convolutional parameters,
/// the measures, and the model file.
final class ServerCompute: Performer {
  private let context: RunContext
  private let chunks: ChunkStore
  /// Model and checkpoints.
  private let archive: ServerArchive
  /// Where the first layer's filters are put up when somebody wants to see them.
  private let board: StatusBoard?
  private let tensorBoard: BoardWriter?

  /// - Parameter resumeSteps: steps of the checkpoint to start from; 0 starts anew.
  init(
    context: RunContext, archive: ServerArchive, resumeSteps: UInt64, probe: (any StepProbe)?,
    board: StatusBoard? = nil, tensorBoard: BoardWriter? = nil, rates: RateSheet
  ) throws {
    self.context = context
    self.archive = archive
    self.board = board
    self.tensorBoard = tensorBoard
    chunks = ChunkStore(
      context: context, shard: 0, probe: probe, rates: rates)
    try context.inputs.parameters.check(against: context.network.parameters)
    try rollBack(resumeSteps)
    if let filters = filters(afterSteps: resumeSteps) { board?.publish(filters) }
  }

  func close() {}

  /// Shows parameters to who wants to see them, as far as they are the coordinator's own: some 100 kB are copied every few seconds at most,
  /// and all are counted for TensorBoard every half minute.
  private func show(afterSteps steps: UInt64) {
    if let board, board.wantsFilters, let filters = filters(afterSteps: steps) {
      board.publish(filters)
    }
    guard let tensorBoard, tensorBoard.wantsParameters else { return }
    var histograms: [(name: String, values: ValueHistogram)] = []
    for stage in context.network.stages {
      for part in stage.parts(of: 0..<stage.parameterCount) where chunks.owns(part, of: stage) {
        let values = UnsafeBufferPointer(
          start: UnsafePointer(chunks.committed.values[stage.index].floatPointer) + part.offset,
          count: part.elements.count)
        histograms.append(
          ("\(part.entry.layerName)/\(part.entry.kind.rawValue)", ValueHistogram(values)))
      }
    }
    tensorBoard.append(
      filters: filters(afterSteps: steps), histograms: histograms, step: steps)
  }

  /// The first conv layer's weights; `nil` in a network without one, and where another shard has
  /// some of them.
  private func filters(afterSteps steps: UInt64) -> FilterSnapshot? {
    guard let stage = context.network.stages.first(where: { !$0.parameters.isEmpty }),
      let part = stage.parts(of: 0..<stage.parameterCount).first, chunks.owns(part, of: stage),
      case .convolution(let convolution) = context.network.convolutional[stage.layers.lowerBound]
        .operation
    else { return nil }
    let entry = part.entry
    return FilterSnapshot(
      layer: entry.layerName, step: steps, shape: entry.shape.extents, groups: convolution.groups,
      values: Array(
        UnsafeBufferPointer(
          start: UnsafePointer(chunks.committed.values[stage.index].floatPointer),
          count: entry.shape.count)))
  }

  func perform(_ operation: ServerCore.Operation) -> ServerCore.Outcome {
    switch operation {
    case .apply(let chunk, let gradients, let step):
      switch chunks.apply(chunk, gradients, step) {
      case .applied(let frame): return .applied(frame)
      case .notFinite(let worker, let what): return .notFinite(worker: worker, what: what)
      }
    case .commit(let step):
      chunks.commit()
      show(afterSteps: step + 1)
      return .done
    case .snapshot: return .snapshot(chunks.snapshot())
    case .tally(let counts, let lossSum): return .tallied(tally(counts, lossSum))
    case .beginCheckpoint(let steps):
      archive.begin(steps, keeping: chunks.committed)
      return .done
    case .store(let slice, let frames, let name): return archive.store(slice, frames, name)
    case .finishCheckpoint(let steps): return archive.finish(steps)
    case .save(let steps): return archive.save(steps, chunks.committed)
    case .rollBack(let steps):
      archive.forget()
      do {
        let (found, passedOver) = try rollBack(steps)
        guard found != steps else { return .done }
        let why =
          passedOver.isEmpty ? "it is not there any more" : passedOver.joined(separator: "; ")
        return .wentFurtherBack(
          steps: found, because: "the checkpoint after \(steps) steps is passed over: \(why)")
      } catch {
        return .failed("\(error)")
      }
    case .cut(let name, let transfer, let first):
      return archive.cut(for: name, transfer, from: first, chunks.pool)
    }
  }

  /// Takes the committed version from the checkpoint after `steps` steps, or an older one where that is no good, or
  /// the parameters that the run began with.
  ///
  /// - Returns: the steps of what it has taken, and what is wrong with newer ones.
  @discardableResult
  private func rollBack(_ steps: UInt64) throws -> (steps: UInt64, passedOver: [String]) {
    var found: (steps: UInt64, passedOver: [String]) = (0, [])
    if steps > 0 { found = try archive.open(steps, into: chunks.committed) }
    if found.steps == 0 { try chunks.setInitialValues() }
    return found
  }

  private func tally(_ counts: [Frame], _ lossSum: Double) -> Tally {
    var tally = Tally.zero
    tally.lossSum = lossSum
    for row in 0..<context.plan.globalBatch {
      // Each slice counts its logits above the true one: the sum is the true class's rank.
      // In 64 bits: what has come over the wire may be anything.
      var rank: Int64 = 0
      var isPadding = false
      for frame in counts {
        let count = frame.int32s[row]
        if count < 0 { isPadding = true } else { rank += Int64(count) }
      }
      if !isPadding { tally.count(rank: Int32(clamping: rank)) }
    }
    return tally
  }
}
