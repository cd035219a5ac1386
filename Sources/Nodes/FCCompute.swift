import Configuration
import Coordination
import Kernels
import Messages
import Network
import Tensors
import Training

/// An FC node's computations: its slice of the fully connected layers.
final class FCCompute: Performer {
  private let context: RunContext
  private let slice: DenseSlice
  private let rank: Int
  private let pool = FramePool()
  private let probe: (any StepProbe)?
  /// Steps of the whole run, which the learning rate's decay depends on.
  private let totalSteps: @Sendable () -> UInt64

  init(
    context: RunContext, rank: Int, probe: (any StepProbe)?,
    totalSteps: @escaping @Sendable () -> UInt64
  ) throws(TrainingError) {
    self.context = context
    self.rank = rank
    self.probe = probe
    self.totalSteps = totalSteps
    slice = DenseSlice(
      plan: context.network, cut: context.cut, rank: rank, rows: context.plan.globalBatch,
      seed: context.configuration.seed)
    try context.inputs.parameters.check(against: context.network.parameters)
    try context.inputs.parameters.load(into: slice)
  }

  func close() {}

  /// Bytes of exchange `e` from each rank.
  var exchangeBytes: [[Int]] {
    (0..<context.plan.trainingSegments - 1).map { exchange in
      (0..<context.cut.nodes).map { peer in
        peer == rank ? 0 : slice.expectedBytes(exchange: exchange, from: peer)
      }
    }
  }

  func perform(_ operation: FCCore.Operation) -> FCCore.Outcome {
    switch operation {
    case .start(let pass, let blocks):
      place(blocks)
      if let row = slice.firstInvalidLabel {
        return .failed("row \(row) has the label \(slice.labels[row]), which is no class")
      }
      slice.begin(
        DensePass(training: pass.isTraining, step: pass.step, examples: pass.examples))
      return run(segment: 0, [], isLast: false, deliver: nil)
    case .segment(let index, let received, let isLast, let deliver):
      return run(segment: index, received, isLast: isLast, deliver: deliver)
    case .gradients:
      slice.computeParameterGradients()
      return .done
    case .apply(let step):
      context.update(slice, step: step, of: totalSteps(), probe: probe)
      return .done
    case .collect(let transfer): return .slices(collect(transfer))
    case .redraw: return redraw()
    case .place(let piece, let frames): return place(piece, frames)
    }
  }

  private func place(_ blocks: [FCCore.FeatureBlock]) {
    let columns = context.cut.featureSlices[rank].count
    for block in blocks {
      guard let labels = block.frames.first?.int32s.baseAddress else { continue }
      (slice.labels + block.rows.lowerBound).update(from: labels, count: block.rows.count)
      RowBlocks.place(
        Array(block.frames.dropFirst()), into: slice.features, stride: columns, rows: block.rows,
        columns: 0..<columns)
    }
  }

  private func run(
    segment: Int, _ received: [[Frame]], isLast: Bool, deliver: [Range<Int>]?
  ) -> FCCore.Outcome {
    slice.run(segment: segment, received: received)
    var result = FCCore.SegmentResult(outgoing: [])
    guard isLast else {
      result.outgoing = (0..<context.cut.nodes).map { peer in
        peer == rank ? [] : slice.outgoing(exchange: segment, to: peer, pool: pool)
      }
      return .segment(result)
    }
    let columns = context.cut.featureSlices[rank].count
    result.featureGradients = (deliver ?? []).map { rows in
      RowBlocks.frames(
        of: slice.featureGradient, stride: columns, rows: rows, columns: 0..<columns, pool: pool)
    }
    let counts = pool.frame(byteCount: context.plan.globalBatch * 4) { target in
      guard let base = target.bindMemory(to: Int32.self).baseAddress else { return }
      slice.writeRanks(into: base)
    }
    result.report = (slice.lossSum, counts)
    return .segment(result)
  }

  // MARK: Whole parameters

  private func redraw() -> FCCore.Outcome {
    for parameter in slice.parameters {
      parameter.writeInitialValues(seed: context.configuration.seed)
      parameter.velocity.update(repeating: 0, count: parameter.count)
    }
    do throws(TrainingError) {
      try context.inputs.parameters.load(into: slice)
      return .done
    } catch {
      return .failed("\(error)")
    }
  }

  private func place(_ piece: Slice, _ frames: [Frame]) -> FCCore.Outcome {
    let rows = piece.firstRow..<piece.firstRow + piece.rows
    let columns = piece.firstColumn..<piece.firstColumn + piece.columns
    guard let parameter = slice.parameters.first(where: { $0.entry.key == piece.key }),
      parameter.rows.lowerBound <= rows.lowerBound, rows.upperBound <= parameter.rows.upperBound,
      parameter.columns.lowerBound <= columns.lowerBound,
      columns.upperBound <= parameter.columns.upperBound,
      frames.reduce(0, { $0 + $1.byteCount }) == piece.rows * piece.columns * 4
    else { return .failed("the server gave a piece of parameter \(piece.key) that is not mine") }
    let base = parameter.rows.lowerBound
    let left = parameter.columns.lowerBound
    RowBlocks.place(
      frames, into: piece.part == .value ? parameter.value : parameter.velocity,
      stride: parameter.columns.count, rows: rows.lowerBound - base..<rows.upperBound - base,
      columns: columns.lowerBound - left..<columns.upperBound - left)
    return .done
  }

  private func collect(_ transfer: UInt32) -> [(Slice, [Frame])] {
    var slices: [(Slice, [Frame])] = []
    for parameter in slice.parameters {
      for part in Slice.Part.allCases { slices += pieces(of: parameter, part, transfer) }
    }
    // No node is without a piece: the configuration allows no more FC nodes than classes.
    slices[slices.count - 1].0.isLast = true
    return slices
  }

  private func pieces(
    of parameter: OwnedParameter, _ part: Slice.Part, _ transfer: UInt32
  ) -> [(Slice, [Frame])] {
    let source = part == .value ? parameter.value : parameter.velocity
    let width = parameter.columns.count
    // A message holds a few frames: larger ones would only wait for each other.
    let perMessage = RowBlocks.rowsPerFrame(columns: width) * 8
    return stride(from: 0, to: parameter.rows.count, by: perMessage).map { first in
      let rows = first..<min(first + perMessage, parameter.rows.count)
      let piece = Slice(
        transfer: transfer, part: part, key: parameter.entry.key,
        firstRow: parameter.rows.lowerBound + first, rows: rows.count,
        firstColumn: parameter.columns.lowerBound, columns: width, isLast: false)
      let frames = RowBlocks.frames(
        of: UnsafePointer(source), stride: width, rows: rows, columns: 0..<width, pool: pool)
      return (piece, frames)
    }
  }
}
