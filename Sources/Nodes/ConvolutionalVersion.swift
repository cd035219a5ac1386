import Messages
import Network
import Tensors

/// The convolutional parameters and their velocities, one vector a stage: weight elements, then
/// bias elements.
struct ConvolutionalVersion {
  var values: [AlignedBuffer]
  var velocities: [AlignedBuffer]

  init(_ stages: [ConvolutionalStage]) {
    values = stages.map { AlignedBuffer(floats: $0.parameterCount) }
    velocities = stages.map { AlignedBuffer(floats: $0.parameterCount) }
  }

  /// Takes chunks of another version.
  func take(_ chunks: [Chunk], of version: ConvolutionalVersion) {
    for chunk in chunks {
      let (first, count) = (chunk.range.lowerBound, chunk.range.count)
      (values[chunk.stage].floatPointer + first).update(
        from: version.values[chunk.stage].floatPointer + first, count: count)
      (velocities[chunk.stage].floatPointer + first).update(
        from: version.velocities[chunk.stage].floatPointer + first, count: count)
    }
  }

  /// Puts a piece of a convolutional parameter in its place.
  ///
  /// - Returns: false if there is no such parameter, or the piece does not fit it.
  func place(
    _ slice: Slice, _ frames: [Frame], _ stages: [ConvolutionalStage]
  ) -> Bool {
    for stage in stages {
      guard
        let whole = stage.parts(of: 0..<stage.parameterCount)
          .first(where: { $0.entry.key == slice.key })
      else { continue }
      guard slice.firstRow == 0, slice.rows == 1,
        slice.firstColumn + slice.columns <= whole.elements.count,
        frames.reduce(0, { $0 + $1.byteCount }) == slice.columns * 4
      else { return false }
      let target = (slice.part == .value ? values : velocities)[stage.index].floatPointer
      var offset = whole.offset + slice.firstColumn
      for frame in frames {
        guard let source = frame.floats.baseAddress else { continue }
        (target + offset).update(from: source, count: frame.floats.count)
        offset += frame.floats.count
      }
      return true
    }
    return false
  }
}

extension ConvolutionalStage.Part {
  /// The part on its way between a shard and the coordinator; not the last one.
  func slice(_ kind: Slice.Part, transfer: UInt32, number: Int) -> Slice {
    Slice(
      transfer: transfer, number: number, part: kind, key: entry.key, firstRow: 0, rows: 1,
      firstColumn: elements.lowerBound, columns: elements.count, isLast: false)
  }
}
