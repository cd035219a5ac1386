import Configuration
import Coordination
import Messages
import Network
import Synchronization
import Tensors
import Training

/// The convolutional parameters and their velocities, one vector a stage: weight elements, then
/// bias elements.
struct ConvolutionalVersion {
  var values: [AlignedBuffer]
  var velocities: [AlignedBuffer]

  init(_ stages: [ConvolutionalStage]) {
    values = stages.map { AlignedBuffer(floats: $0.parameterCount) }
    velocities = stages.map { AlignedBuffer(floats: $0.parameterCount) }
  }

}

/// Whole parameters with their velocities, put together from the server's own chunks and the slices
/// of FC nodes and shards.
final class CollectedParameters {
  let network: NetworkPlan
  private let conv: ConvolutionalVersion
  /// Values and velocities of FC parameters by key; velocities only where they were sent.
  private var values: [Int: AlignedBuffer] = [:]
  private var velocities: [Int: AlignedBuffer] = [:]

  init(_ network: NetworkPlan, _ conv: ConvolutionalVersion) {
    self.network = network
    self.conv = conv
  }

  /// Takes the coordinator's own chunks from `version`.
  func take(_ chunks: [Chunk], of version: ConvolutionalVersion) {
    for chunk in chunks {
      let (first, count) = (chunk.range.lowerBound, chunk.range.count)
      (conv.values[chunk.stage].floatPointer + first).update(
        from: version.values[chunk.stage].floatPointer + first, count: count)
      (conv.velocities[chunk.stage].floatPointer + first).update(
        from: version.velocities[chunk.stage].floatPointer + first, count: count)
    }
  }

  /// Puts a piece in its place.
  ///
  /// - Returns: what is wrong with it, or `nil`.
  func place(_ slice: Slice, _ frames: [Frame], from name: NodeName) -> String? {
    let entries = network.parameters.entries
    guard entries.indices.contains(slice.key), entries[slice.key].dense == (name.role == .fc) else {
      return "\(name) sent a slice of parameter \(slice.key), which is not its own"
    }
    let entry = entries[slice.key]
    guard entry.dense else {
      return conv.place(slice, frames, network.stages)
        ? nil : "\(name) sent a slice of \(entry.name) that does not fit \(entry.shape)"
    }
    let height = entry.shape[0]
    let width = entry.shape.count / height
    guard slice.firstRow + slice.rows <= height, slice.firstColumn + slice.columns <= width,
      frames.reduce(0, { $0 + $1.byteCount }) == slice.rows * slice.columns * 4
    else { return "\(name) sent a slice of \(entry.name) that does not fit \(entry.shape)" }
    let known = slice.part == .value ? values[slice.key] : velocities[slice.key]
    let whole = known ?? AlignedBuffer(floats: entry.shape.count)
    if slice.part == .value { values[slice.key] = whole } else { velocities[slice.key] = whole }
    RowBlocks.place(
      frames, into: whole.floatPointer, stride: width,
      rows: slice.firstRow..<slice.firstRow + slice.rows,
      columns: slice.firstColumn..<slice.firstColumn + slice.columns)
    return nil
  }

  /// Calls `body` for every parameter in the table's order; an FC parameter's velocity is `nil` where
  /// it was not sent.
  ///
  /// - Returns: the name of one that is not there, or `nil`.
  func forEach(
    _ body: (ParameterTable.Entry, _ value: UnsafePointer<Float>, _ velocity: UnsafePointer<Float>?)
      -> Void
  ) -> String? {
    var stage = 0
    var offset = 0
    let stages = network.stages
    for entry in network.parameters.entries {
      if entry.dense {
        guard let value = values[entry.key] else { return entry.name }
        let velocity = velocities[entry.key].map { UnsafePointer($0.floatPointer) }
        body(entry, UnsafePointer(value.floatPointer), velocity)
        continue
      }
      while !stages[stage].parameters.contains(where: { $0.key == entry.key }) {
        stage += 1
        offset = 0
      }
      body(
        entry, UnsafePointer(conv.values[stage].floatPointer + offset),
        UnsafePointer(conv.velocities[stage].floatPointer + offset))
      offset += entry.shape.count
    }
    return nil
  }
}

/// What the server keeps on disk: the model at the end, and checkpoints on the way.
///
/// Belongs to the server's compute thread; only writing a checkpoint happens on a thread of its
/// own, with memory that has been handed over to it.
final class ServerArchive {
  private let context: RunContext
  private let modelPath: String?
  private let metadata: [String: String]
  private let checkpoints: CheckpointStore?
  private let writer: CheckpointWriter?
  /// Called with the model's tensors before they are written (verify, in-process callers).
  private let onModel: (@Sendable (ModelTensors) -> Void)?
  /// The coordinator's own chunks.
  private let owned: [Chunk]
  /// Slices that are coming in, for a checkpoint or for the model.
  private var incoming: CollectedParameters?
  /// The checkpoint that FC nodes and shards get their slices back from.
  private var source: Checkpoint?

  init(
    context: RunContext, modelPath: String?, metadata: [String: String],
    checkpoints: CheckpointStore?, resumed: Checkpoint?, writer: CheckpointWriter?,
    onModel: (@Sendable (ModelTensors) -> Void)?
  ) {
    self.context = context
    self.modelPath = modelPath
    self.metadata = metadata
    self.checkpoints = checkpoints
    self.writer = writer
    self.onModel = onModel
    source = resumed
    owned = context.plan.shards.chunks[0].map { context.plan.chunks.chunks[$0] }
  }

  // MARK: Coming in

  /// Keeps the server's own part of a checkpoint.
  func begin(keeping committed: ConvolutionalVersion) {
    let parameters = fresh
    parameters.take(owned, of: committed)
    incoming = parameters
  }

  private var fresh: CollectedParameters {
    CollectedParameters(context.network, ConvolutionalVersion(context.network.stages))
  }

  func store(_ slice: Slice, _ frames: [Frame], _ name: NodeName) -> ServerCore.Outcome {
    // Whoever writes no checkpoints needs no velocities.
    if slice.part == .velocity, writer == nil { return .done }
    // Without a checkpoint begun these are the model's: its own part is read when it is saved.
    let target = incoming ?? fresh
    incoming = target
    return target.place(slice, frames, from: name).map { .failed($0) } ?? .done
  }

  /// Hands a complete checkpoint to the writer.
  func finish(_ steps: UInt64) -> ServerCore.Outcome {
    guard let parameters = incoming, let writer else { return .failed("nothing was collected") }
    incoming = nil
    writer.write(steps, parameters)
    return .done
  }

  /// Writes the model, and a checkpoint from which the run can be resumed or made longer.
  func save(_ steps: UInt64, _ committed: ConvolutionalVersion) -> ServerCore.Outcome {
    guard let whole = incoming else { return .failed("no slices have come") }
    incoming = nil
    whole.take(owned, of: committed)
    var tensors: [ModelTensors.Tensor] = []
    let missing = whole.forEach { entry, value, _ in
      tensors.append(.init(entry, at: value))
    }
    if let missing { return .failed("no slice of \(missing)") }
    onModel?(ModelTensors(steps: steps, tensors: tensors))
    var problem: String?
    if let writer {
      if case .failure(let error) = writer.writeNow(steps, whole) {
        problem = "the last checkpoint is not written: \(error)"
      }
    }
    guard let modelPath else { return .saved(problem: problem) }
    var metadata = metadata
    metadata["steps"] = "\(steps)"
    do throws(SafeTensorsError) {
      try SafeTensorsWriter().write(
        to: modelPath,
        tensors: tensors.map { (name: $0.name, shape: $0.shape.extents, data: $0.values) },
        metadata: metadata)
      return .saved(problem: problem)
    } catch {
      return .failed("\(error)")
    }
  }

  // MARK: Going out

  /// Reads the server's part of the checkpoint after `steps` steps.
  func open(_ steps: UInt64, into version: ConvolutionalVersion) throws {
    if source?.manifest.steps != steps {
      guard let path = checkpoints?.list().first(where: { $0.steps == steps })?.path else {
        throw NodeError("the checkpoint after \(steps) steps is not there any more")
      }
      source = try Checkpoint(path: path)
    }
    guard let source else { return }
    try source.check(against: context.network.parameters)
    for (index, stage) in context.network.stages.enumerated() {
      var offset = 0
      for entry in stage.parameters {
        let all = 0..<entry.shape.count
        try source.read(
          entry.name, velocity: false, elements: all,
          into: version.values[index].floatPointer + offset)
        try source.read(
          entry.name, velocity: true, elements: all,
          into: version.velocities[index].floatPointer + offset)
        offset += entry.shape.count
      }
    }
  }

  /// Cuts what an FC node or a shard holds, with what it mirrors, values and velocities, out of the checkpoint: some
  /// pieces from `first` on, the last of all marked.
  func cut(
    for name: NodeName, _ transfer: UInt32, from first: Int, _ pool: FramePool
  ) -> ServerCore.Outcome {
    guard let source else { return .failed("there is no checkpoint to give slices from") }
    do throws(CheckpointError) {
      guard name.role == .fc else {
        var pieces = try cut(source, shard: name.rank, transfer, pool)
        pieces[pieces.count - 1].0.isLast = true
        return .slices(Array(pieces.dropFirst(first)))
      }
      var pieces: [Slice] = []
      let ranks =
        [name.rank] + (context.plan.mirrorsFC ? [context.plan.mirrored(by: name.rank)] : [])
      for rank in ranks {
        for layer in context.cut.layers {
          let region = layer.weightRegion(rank: rank)
          for part in Slice.Part.allCases {
            pieces += Self.pieces(layer.weight, region.rows, region.columns, part, transfer)
            pieces += Self.pieces(layer.bias, layer.biasRange(rank: rank), 0..<1, part, transfer)
          }
        }
      }
      pieces[pieces.count - 1].isLast = true
      var cut: [(Slice, [Frame])] = []
      for index in pieces.indices.dropFirst(first).prefix(Self.piecesAtOnce) {
        var piece = pieces[index]
        piece.number = index
        cut.append((piece, [try frame(of: piece, source, pool)]))
      }
      return .slices(cut)
    } catch {
      return .failed("\(error)")
    }
  }

  private func cut(
    _ source: Checkpoint, shard rank: Int, _ transfer: UInt32, _ pool: FramePool
  ) throws(CheckpointError) -> [(Slice, [Frame])] {
    var pieces: [(Slice, [Frame])] = []
    for chunk in context.plan.shards.chunks[rank].map({ context.plan.chunks.chunks[$0] }) {
      for part in context.network.stages[chunk.stage].parts(of: chunk.range) {
        for kind in Slice.Part.allCases {
          let staging = AlignedBuffer(floats: part.elements.count)
          try source.read(
            part.entry.name, velocity: kind == .velocity, elements: part.elements,
            into: staging.floatPointer)
          let frame = pool.frame(floats: part.elements.count) { target in
            target.baseAddress?.update(from: staging.floatPointer, count: target.count)
          }
          pieces.append((part.slice(kind, transfer: transfer, number: pieces.count), [frame]))
        }
      }
    }
    return pieces
  }

  /// Frames that are read together; the next ones once these have gone out.
  private static let piecesAtOnce = 8

  /// Without their numbers: those are of all parameters together.
  private static func pieces(
    _ entry: ParameterTable.Entry, _ rows: Range<Int>, _ columns: Range<Int>, _ part: Slice.Part,
    _ transfer: UInt32
  ) -> [Slice] {
    guard !rows.isEmpty, !columns.isEmpty else { return [] }
    let step = RowBlocks.rowsPerFrame(columns: columns.count)
    return stride(from: rows.lowerBound, to: rows.upperBound, by: step).map { first in
      Slice(
        transfer: transfer, number: 0, part: part, key: entry.key, firstRow: first,
        rows: min(step, rows.upperBound - first), firstColumn: columns.lowerBound,
        columns: columns.count, isLast: false)
    }
  }

  private func frame(
    of piece: Slice, _ source: Checkpoint, _ pool: FramePool
  ) throws(CheckpointError) -> Frame {
    let entry = context.network.parameters.entries[piece.key]
    let width = entry.shape.count / entry.shape[0]
    let staging = AlignedBuffer(floats: piece.rows * piece.columns)
    for row in 0..<piece.rows {
      let start = (piece.firstRow + row) * width + piece.firstColumn
      try source.read(
        entry.name, velocity: piece.part == .velocity, elements: start..<start + piece.columns,
        into: staging.floatPointer + row * piece.columns)
    }
    return pool.frame(floats: piece.rows * piece.columns) { target in
      target.baseAddress?.update(from: staging.floatPointer, count: target.count)
    }
  }
}
