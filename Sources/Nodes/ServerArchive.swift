import Configuration
import Coordination
import Glibc
import Messages
import Network
import Tensors
import Training

/// What the server keeps on disk: the model at the end, and checkpoints on the way.
///
/// Belongs to the server's compute thread; what is written goes to the writer's, piece by piece.
final class ServerArchive {
  private let context: RunContext
  private let modelPath: String?
  private let metadata: [String: String]
  private let checkpoints: CheckpointStore?
  private let writer: CheckpointWriter?
  /// Called with the model's tensors (verify, in-process callers).
  private let onModel: (@Sendable (ModelTensors) -> Void)?
  /// The coordinator's own chunks.
  private let owned: [Chunk]
  /// Where slices go that come in.
  private var incoming = Incoming.none
  /// The checkpoint that FC nodes and shards get their slices back from.
  private var source: Checkpoint?
  /// What the run began with, if that is a checkpoint: its files stay open.
  private let resumed: Checkpoint?
  /// Not zero once the server ends: then nothing is waited for.
  private let isEnding: SharedNumber
  /// Is told what cannot be read just now.
  private let report: @Sendable (String) -> Void

  private enum Incoming {
    case none
    /// The writer has begun a checkpoint: on the way, or the last one.
    case checkpoint(isLast: Bool)
    /// The model's values, in memory: nothing is written, or the disk cannot take a checkpoint.
    case model(CollectedModel, CheckpointError?)
  }

  init(
    context: RunContext, modelPath: String?, metadata: [String: String],
    checkpoints: CheckpointStore?, resumed: Checkpoint?, writer: CheckpointWriter?,
    isEnding: SharedNumber, report: @escaping @Sendable (String) -> Void,
    onModel: (@Sendable (ModelTensors) -> Void)?
  ) {
    self.context = context
    self.modelPath = modelPath
    self.metadata = metadata
    self.checkpoints = checkpoints
    self.writer = writer
    self.onModel = onModel
    source = resumed
    self.resumed = resumed
    self.isEnding = isEnding
    self.report = report
    owned = context.plan.shards.chunks[0].map { context.plan.chunks.chunks[$0] }
  }

  // MARK: Coming in

  /// Begins a checkpoint with the server's own part.
  func begin(_ steps: UInt64, keeping committed: ConvolutionalVersion) {
    guard let writer else { return }
    writer.begin(steps: steps)
    writer.put(owned, of: copy(of: committed))
    incoming = .checkpoint(isLast: false)
  }

  /// Training goes on while it is written.
  private func copy(of version: ConvolutionalVersion) -> ConvolutionalVersion {
    let copy = ConvolutionalVersion(context.network.stages)
    copy.take(owned, of: version)
    return copy
  }

  func store(_ slice: Slice, _ frames: [Frame], _ name: NodeName) -> ServerCore.Outcome {
    if let problem = problem(with: slice, frames, from: name) { return .failed(problem) }
    if slice.transfer == 0 { beginLast() }
    let entry = context.network.parameters.entries[slice.key]
    let width = entry.dense ? entry.shape.count / entry.shape[0] : entry.shape.count
    let piece = ParameterPiece(
      name: entry.name, isVelocity: slice.part == .velocity, width: width,
      firstRow: slice.firstRow, columns: slice.firstColumn..<slice.firstColumn + slice.columns,
      frames: frames)
    switch incoming {
    case .model(let model, _) where slice.part == .value: model.place(piece, of: entry)
    case .checkpoint: writer?.put(piece)
    default: break
    }
    return .done
  }

  /// The model's slices come, and those of the last checkpoint; whatever was begun before is not
  /// finished any more.
  private func beginLast() {
    switch incoming {
    case .checkpoint(isLast: true), .model: return
    case .checkpoint, .none: break
    }
    let problem = writer?.beginNow()
    let isPossible = writer != nil && problem == nil
    incoming =
      isPossible ? .checkpoint(isLast: true) : .model(CollectedModel(context.network), problem)
  }

  /// Forgets what has come so far, and why it was not written: the run goes back, and begins that anew.
  func forget() { incoming = .none }

  /// What is wrong with a piece that has come, or `nil`.
  private func problem(
    with slice: Slice, _ frames: [Frame], from name: NodeName
  ) -> String? {
    let entries = context.network.parameters.entries
    guard entries.indices.contains(slice.key), entries[slice.key].dense == (name.role == .fc) else {
      return "\(name) sent a slice of parameter \(slice.key), which is not its own"
    }
    let entry = entries[slice.key]
    // A conv parameter travels as one row.
    let height = entry.dense ? entry.shape[0] : 1
    let width = entry.shape.count / height
    guard slice.firstRow + slice.rows <= height, slice.firstColumn + slice.columns <= width,
      frames.reduce(0, { $0 + $1.byteCount }) == slice.rows * slice.columns * 4,
      slice.columns == 0 || frames.allSatisfy({ $0.byteCount % (slice.columns * 4) == 0 })
    else { return "\(name) sent a slice of \(entry.name) that does not fit \(entry.shape)" }
    return nil
  }

  /// Has a complete checkpoint written.
  func finish(_ steps: UInt64) -> ServerCore.Outcome {
    guard case .checkpoint = incoming, let writer else { return .failed("nothing was collected") }
    incoming = .none
    writer.finish(steps: steps)
    return .done
  }

  /// Writes the model, and a checkpoint from which the run can be resumed or made longer.
  func save(_ steps: UInt64, _ committed: ConvolutionalVersion) -> ServerCore.Outcome {
    defer { incoming = .none }
    var metadata = metadata
    metadata["steps"] = "\(steps)"
    do {
      switch incoming {
      case .none, .checkpoint(isLast: false): return .failed("no slices have come")
      case .checkpoint(isLast: true): return try saveFromDisk(steps, committed, metadata)
      case .model(let model, let error):
        let tensors = try model.tensors(owned, of: committed)
        onModel?(ModelTensors(steps: steps, tensors: tensors))
        let problem = error.map { "the last checkpoint is not written: \($0)" }
        guard let modelPath else { return .saved(problem: problem) }
        try SafeTensorsWriter().write(
          to: modelPath,
          tensors: tensors.map { (name: $0.name, shape: $0.shape.extents, data: $0.values) },
          metadata: metadata)
        return .saved(problem: problem)
      }
    } catch {
      return .failed("\(error)")
    }
  }

  /// The model is what the last checkpoint has of it.
  private func saveFromDisk(
    _ steps: UInt64, _ committed: ConvolutionalVersion, _ metadata: [String: String]
  ) throws -> ServerCore.Outcome {
    guard let writer else { return .failed("nothing was collected") }
    writer.put(owned, of: copy(of: committed))
    var problem: String?
    switch writer.finishNow(steps: steps) {
    case .failure(let error): problem = "the last checkpoint is not written: \(error)"
    case .success(let path):
      if let onModel { try show(Checkpoint(path: path, verify: false), to: onModel) }
    }
    guard let modelPath else { return .saved(problem: problem) }
    if let error = writer.saveModel(to: modelPath, metadata: metadata) { throw error }
    return .saved(problem: problem)
  }

  private func show(
    _ checkpoint: Checkpoint, to onModel: (ModelTensors) -> Void
  ) throws {
    var memory: [AlignedBuffer] = []
    var tensors: [ModelTensors.Tensor] = []
    for entry in context.network.parameters.entries {
      let buffer = AlignedBuffer(floats: entry.shape.count)
      try checkpoint.read(
        entry.name, velocity: false, elements: 0..<entry.shape.count, into: buffer.floatPointer)
      memory.append(buffer)
      tensors.append(.init(entry, at: UnsafePointer(buffer.floatPointer)))
    }
    withExtendedLifetime(memory) {
      onModel(ModelTensors(steps: checkpoint.manifest.steps, tensors: tensors))
    }
  }

  // MARK: Going out

  /// Reads the server's part of the checkpoint after `steps` steps, or where that is no good of the newest good one
  /// before it. What cannot be read just now is waited for.
  ///
  /// - Returns: steps of the one that was read, 0 where there is none, and what is wrong with newer ones.
  func open(
    _ steps: UInt64, into version: ConvolutionalVersion
  ) throws(CheckpointError) -> (steps: UInt64, passedOver: [String]) {
    try patiently { () throws(CheckpointError) in
      var passedOver: [String] = []
      if source?.manifest.steps != steps {
        source = nil
        source = try newest(upTo: steps) { passedOver.append($0) }
      }
      if let source { try read(source, into: version) }
      return (source?.manifest.steps ?? 0, passedOver)
    }
  }

  /// Nothing older than what this server began with: of that time it knows nothing.
  private func newest(
    upTo steps: UInt64, _ note: (String) -> Void
  ) throws(CheckpointError) -> Checkpoint? {
    let found = try checkpoints?.newestGood(upTo: steps, note)
    guard let resumed, found?.manifest.steps ?? 0 <= resumed.manifest.steps else { return found }
    return resumed
  }

  /// Runs a body again while what it reads cannot be read for a reason that passes by itself.
  private func patiently<Value>(
    _ body: () throws(CheckpointError) -> Value
  ) throws(CheckpointError) -> Value {
    try CheckpointStore.untilReadable(wait: waitASecond, report) { _ throws(CheckpointError) in
      try body()
    }
  }

  private func waitASecond() -> Bool {
    for _ in 0..<100 where isEnding.value == 0 { poll(nil, 0, 10) }
    return isEnding.value == 0
  }

  private func read(
    _ source: Checkpoint, into version: ConvolutionalVersion
  ) throws(CheckpointError) {
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
    // Asked for before it was known that no checkpoint is good: the initial values come instead.
    guard let source else { return .slices([]) }
    do throws(CheckpointError) {
      return .slices(
        try patiently { () throws(CheckpointError) in
          try cut(source, for: name, transfer, from: first, pool)
        })
    } catch {
      return .failed("\(error)")
    }
  }

  private func cut(
    _ source: Checkpoint, for name: NodeName, _ transfer: UInt32, from first: Int, _ pool: FramePool
  ) throws(CheckpointError) -> [(Slice, [Frame])] {
    guard name.role == .fc else {
      var pieces = try cut(source, shard: name.rank, transfer, pool)
      pieces[pieces.count - 1].0.isLast = true
      return Array(pieces.dropFirst(first))
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
    return cut
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
