import Network
import Tensors
import Training

/// A model that is put together in memory from the slices of FC nodes and shards: for callers in the
/// same process, and where there is no room on the disk to do it there.
final class CollectedModel {
  private let network: NetworkPlan
  /// By key; those that have come.
  private var values: [Int: AlignedBuffer] = [:]

  init(_ network: NetworkPlan) { self.network = network }

  /// Puts a piece of parameter `entry`, which fits it, in its place.
  func place(_ piece: ParameterPiece, of entry: ParameterTable.Entry) {
    let columns = piece.columns
    guard !columns.isEmpty else { return }
    let rows = piece.frames.reduce(0) { $0 + $1.floats.count } / columns.count
    RowBlocks.place(
      piece.frames, into: whole(entry).floatPointer, stride: piece.width,
      rows: piece.firstRow..<piece.firstRow + rows, columns: columns)
  }

  private func whole(_ entry: ParameterTable.Entry) -> AlignedBuffer {
    let whole = values[entry.key] ?? AlignedBuffer(floats: entry.shape.count)
    values[entry.key] = whole
    return whole
  }

  /// All parameters in the table's order, with the coordinator's own chunks from `version`; they live
  /// as long as this does.
  ///
  /// - Throws: `NodeError` naming one that is not there.
  func tensors(_ chunks: [Chunk], of version: ConvolutionalVersion) throws -> [ModelTensors.Tensor]
  {
    for chunk in chunks {
      for part in network.stages[chunk.stage].parts(of: chunk.range) {
        (whole(part.entry).floatPointer + part.elements.lowerBound).update(
          from: version.values[chunk.stage].floatPointer + part.offset, count: part.elements.count)
      }
    }
    return try network.parameters.entries.map { entry in
      guard let whole = values[entry.key] else { throw NodeError("no slice of \(entry.name)") }
      return .init(entry, at: UnsafePointer(whole.floatPointer))
    }
  }
}
