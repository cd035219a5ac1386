import Kernels
import Messages
import Network
import Tensors
import Training

/// An FC node's slices on their way to the server, values and velocities, a part at a time: a copy
/// of all at once would nearly double the node's memory.
///
/// The pieces are as the parameters were at the beginning: whoever is about to change these calls
/// `copyRest` first.
struct Handover {
  private struct Source {
    let parameter: OwnedParameter
    let part: Slice.Part
    /// Of the whole parameter.
    let rows: Range<Int>
  }

  private let partBytes: Int
  private let transfer: UInt32
  private let sources: [Source]
  private var next = 0
  /// Pieces that had to be copied early.
  private var copied: [(Slice, [Frame])] = []
  private var firstCopied = 0
  /// Of its own, so that the memory goes with the last piece.
  private let pool = FramePool()

  /// Copies nothing yet.
  ///
  /// - Parameters:
  ///   - pieceBytes: of a message, at most: ZeroMQ counts messages, not bytes, so small ones keep
  ///     its queues short.
  ///   - partBytes: that go out together, about.
  init(
    _ parameters: [OwnedParameter], transfer: UInt32, pieceBytes: Int = 1 << 20,
    partBytes: Int = 16 << 20
  ) {
    self.transfer = transfer
    self.partBytes = partBytes
    sources = parameters.flatMap { parameter in
      let step = max(1, pieceBytes / (4 * max(parameter.columns.count, 1)))
      return Slice.Part.allCases.flatMap { part in
        stride(from: parameter.rows.lowerBound, to: parameter.rows.upperBound, by: step).map {
          Source(
            parameter: parameter, part: part, rows: $0..<min($0 + step, parameter.rows.upperBound))
        }
      }
    }
  }

  /// The next pieces, the last of all marked; nothing after these.
  mutating func part() -> [(Slice, [Frame])] {
    var pieces: [(Slice, [Frame])] = []
    var bytes = 0
    while bytes < partBytes, let piece = take() {
      bytes += piece.1.reduce(0) { $0 + $1.byteCount }
      pieces.append(piece)
    }
    return pieces
  }

  /// Copies what has not gone out: the parameters are about to change.
  mutating func copyRest() {
    while next < sources.count {
      copied.append(piece(next))
      next += 1
    }
  }

  private mutating func take() -> (Slice, [Frame])? {
    if firstCopied < copied.count {
      defer {
        copied[firstCopied].1 = []
        firstCopied += 1
      }
      return copied[firstCopied]
    }
    guard next < sources.count else { return nil }
    defer { next += 1 }
    return piece(next)
  }

  private func piece(_ index: Int) -> (Slice, [Frame]) {
    let source = sources[index]
    let parameter = source.parameter
    let width = parameter.columns.count
    let base = parameter.rows.lowerBound
    let frames = RowBlocks.frames(
      of: UnsafePointer(source.part == .value ? parameter.value : parameter.velocity),
      stride: width, rows: source.rows.lowerBound - base..<source.rows.upperBound - base,
      columns: 0..<width, pool: pool)
    let slice = Slice(
      transfer: transfer, number: index, part: source.part, key: parameter.entry.key,
      firstRow: source.rows.lowerBound, rows: source.rows.count,
      firstColumn: parameter.columns.lowerBound, columns: width,
      isLast: index == sources.count - 1)
    return (slice, frames)
  }
}
