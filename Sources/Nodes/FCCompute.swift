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
  /// One a sub-batch; the parameters are the first one's, which all use.
  private let lanes: [DenseSlice]
  private var slice: DenseSlice { lanes[0] }
  private let rank: Int
  private let pool = FramePool()
  /// The turn under way, if people are to see guesses of it.
  private var shown: FCCore.Pass?
  private let mirror: FCMirror?
  private let probe: (any StepProbe)?
  private let rates: RateSheet
  /// Slices that the server has asked for.
  private var handover: Handover?

  init(
    context: RunContext, rank: Int, probe: (any StepProbe)?, rates: RateSheet
  ) throws(TrainingError) {
    self.context = context
    self.rank = rank
    self.probe = probe
    self.rates = rates
    lanes = context.lanes(rank: rank)
    mirror =
      context.plan.mirrorsFC ? FCMirror(context, of: context.plan.mirrored(by: rank)) : nil
    try context.inputs.parameters.check(against: context.network.parameters)
    for slice in slices { try context.inputs.parameters.load(into: slice) }
  }

  /// The own parameters, and those that are mirrored.
  private var slices: [DenseSlice] { [slice] + (mirror.map { [$0.slice] } ?? []) }

  func close() {}

  func perform(_ operation: FCCore.Operation) -> FCCore.Outcome {
    switch operation {
    case .start(let pass, let subBatch, let blocks):
      let lane = lanes[subBatch]
      place(blocks, in: lane, context.plan.subBatches[subBatch])
      if let row = lane.firstInvalidLabel {
        return .failed("row \(row) has the label \(lane.labels[row]), which is no class")
      }
      slice.readsWorking =
        context.plan.schedule.updatesEachSubBatch && pass.isTraining && subBatch > 0
      shown = pass.isShown ? pass : nil
      lane.begin(
        DensePass(training: pass.isTraining, step: pass.step, examples: pass.examples))
      lane.run(segment: 0, received: [])
      return .segment(FCCore.SegmentResult(outgoing: outgoing(of: lane, exchange: 0)))
    case .segment(let index, let subBatch, let received, let isLast, let deliver, let closesTurn):
      let lane = lanes[subBatch]
      let format = context.format(ofExchange: index - 1)
      lane.run(segment: index, received: received.map { pool.unpack($0, from: format) })
      guard isLast else {
        return .segment(FCCore.SegmentResult(outgoing: outgoing(of: lane, exchange: index)))
      }
      return .segment(
        FCCore.SegmentResult(
          outgoing: deliver == nil ? [] : forMirror(of: lane),
          featureGradients: featureGradients(
            of: lane, context.plan.subBatches[subBatch], deliver ?? []),
          report: closesTurn ? report() : nil,
          guesses: closesTurn ? shown.flatMap { guesses($0) } : nil,
          notFinite: deliver == nil ? nil : notFinite(lane)))
    case .gradients:
      for (index, lane) in lanes.enumerated() {
        lane.computeParameterGradients(accumulate: index > 0)
      }
      return .done
    case .stepSubBatch(let step, let subBatch):
      lanes[subBatch].computeParameterGradients(
        scale: Float(context.plan.globalBatch) / Float(lanes[subBatch].rows))
      update(slice, step, subBatch: subBatch)
      return .done
    case .mirror(let step, let received):
      mirror?.step(lanes, received) { update($0, step, subBatch: $1) }
      return .done
    case .apply(let step):
      handover?.copyRest()
      for slice in slices {
        if context.plan.schedule.updatesEachSubBatch { slice.commit() } else { update(slice, step) }
      }
      return .done
    case .collect(let transfer, let isMirrored):
      let source = isMirrored ? mirror?.slice : slice
      handover = Handover(source?.parameters ?? [], transfer: transfer)
      return .slices(handover?.part() ?? [])
    case .collectNext: return .slices(handover?.part() ?? [])
    case .redraw: return redraw()
    case .place(let piece, let frames): return place(piece, frames)
    }
  }

  private func update(_ slice: DenseSlice, _ step: UInt64, subBatch: Int? = nil) {
    context.update(
      slice, step: step, subBatch: subBatch, of: rates.totalSteps, reductions: rates.reductions,
      rateFactor: rates.factor(at: step), probe: slice === self.slice ? probe : nil)
  }

  // MARK: A turn

  /// - Parameter rows: of the global batch that the lane has.
  private func place(
    _ blocks: [FCCore.FeatureBlock], in lane: DenseSlice, _ rows: Range<Int>
  ) {
    let columns = context.cut.featureSlices[rank].count
    for block in blocks {
      guard let labels = block.frames.first?.int32s.baseAddress else { continue }
      let first = block.rows.lowerBound - rows.lowerBound
      (lane.labels + first).update(from: labels, count: block.rows.count)
      RowBlocks.place(
        pool.unpack(
          Array(block.frames.dropFirst()), from: context.plan.wire.activations),
        into: lane.features, stride: columns,
        rows: first..<first + block.rows.count, columns: 0..<columns)
    }
  }

  /// What stands against a training turn.
  private func notFinite(_ lane: DenseSlice) -> FCCore.NotFinite? {
    lane.findNonFinite(subBatches: lanes.count).map {
      FCCore.NotFinite(depth: $0.depth, what: $0.what, givenRow: $0.givenRow)
    }
  }

  private func outgoing(of lane: DenseSlice, exchange: Int) -> [[Frame]] {
    (0..<context.cut.nodes).map { peer in
      guard peer != rank else { return [] }
      return pool.pack(
        lane.outgoing(exchange: exchange, to: peer, pool: pool),
        as: context.format(ofExchange: exchange))
    }
  }

  /// What the node that mirrors this one is owed, by rank.
  private func forMirror(of lane: DenseSlice) -> [[Frame]] {
    guard mirror != nil else { return [] }
    var outgoing = Array(repeating: [Frame](), count: context.cut.nodes)
    outgoing[context.plan.mirror(of: rank)] = lane.gradientFactors(pool)
    return outgoing
  }

  private func featureGradients(
    of lane: DenseSlice, _ subBatch: Range<Int>, _ deliver: [Range<Int>]
  ) -> [[Frame]] {
    let columns = context.cut.featureSlices[rank].count
    return deliver.map { rows in
      let first = rows.lowerBound - subBatch.lowerBound
      return pool.pack(
        RowBlocks.frames(
          of: lane.featureGradient, stride: columns, rows: first..<first + rows.count,
          columns: 0..<columns, pool: pool), as: context.plan.wire.activations)
    }
  }

  /// Loss and ranks of the whole batch, all lanes being done.
  private func report() -> (lossSum: Double, counts: Frame) {
    let counts = pool.frame(byteCount: context.plan.globalBatch * 4) { target in
      guard let base = target.bindMemory(to: Int32.self).baseAddress else { return }
      for (lane, rows) in zip(lanes, context.plan.subBatches.ranges) {
        lane.writeRanks(into: base + rows.lowerBound)
      }
    }
    return (lanes.reduce(0) { $0 + $1.lossSum }, counts)
  }

  /// This slice's likeliest classes for the first rows of the batch, all lanes being done.
  private func guesses(_ pass: FCCore.Pass) -> (Guesses, [Frame])? {
    let rows = min(Limits.sampleRows, pass.examples)
    let count = min(Limits.sampleClasses, context.cut.classSlices[rank].count)
    guard rows > 0, count > 0 else { return nil }
    var classes: [Int32] = []
    var probabilities: [Float] = []
    for (lane, range) in zip(lanes, context.plan.subBatches.ranges) {
      for row in range where row < rows {
        let best = lane.best(row - range.lowerBound, count: count)
        classes += best.map { Int32($0.index) }
        probabilities += best.map(\.probability)
      }
    }
    return (
      Guesses(step: pass.step, rows: rows, classes: count),
      [Frame(copying: classes), Frame(copying: probabilities)]
    )
  }

  // MARK: Whole parameters

  private func redraw() -> FCCore.Outcome {
    handover = nil
    for parameter in slices.flatMap(\.parameters) {
      parameter.writeInitialValues(seed: context.configuration.seed)
      parameter.velocity.update(repeating: 0, count: parameter.count)
    }
    do throws(TrainingError) {
      for slice in slices { try context.inputs.parameters.load(into: slice) }
      return .done
    } catch {
      return .failed("\(error)")
    }
  }

  private func place(_ piece: Slice, _ frames: [Frame]) -> FCCore.Outcome {
    handover = nil
    let rows = piece.firstRow..<piece.firstRow + piece.rows
    let columns = piece.firstColumn..<piece.firstColumn + piece.columns
    guard
      let parameter = slices.flatMap(\.parameters).first(where: {
        $0.entry.key == piece.key && $0.rows.contains(piece.firstRow)
          && $0.columns.contains(piece.firstColumn)
      }),
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
}
