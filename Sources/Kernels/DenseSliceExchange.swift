package import Network
import Tensors

extension DenseCut {
  /// Which layer an exchange belongs to, and in which direction.
  enum Exchange: Hashable {
    /// Of the layer at this position.
    case forward(Int)
    /// Between the forward and the backward ones.
    case loss
    /// Of the layer at this position.
    case backward(Int)
  }

  /// What the exchange of this number is for.
  func exchange(_ index: Int) -> Exchange {
    if index < layers.count { return .forward(index) }
    return index == layers.count ? .loss : .backward(2 * layers.count - index)
  }

  /// Exchanges of one pass: between each segment and the next.
  package func exchangeCount(training: Bool) -> Int { segmentCount(training: training) - 1 }

  /// Floats a row that `sender` owes `receiver` in an exchange; 0 where nothing is sent.
  ///
  /// | exchange | gather-input | scatter-output |
  /// |---|---|---|
  /// | forward | sender's inputs | partial sums of receiver's outputs |
  /// | loss | 3 | 3 |
  /// | backward | partial gradients of receiver's inputs | gradients of sender's outputs |
  ///
  /// A node without the units that would make or need the values is left out.
  package func exchangedColumns(_ index: Int, from sender: Int, to receiver: Int) -> Int {
    switch exchange(index) {
    case .loss: return classSlices[sender].isEmpty ? 0 : LossSlice.width
    case .forward(let position):
      let layer = layers[position]
      if layer.form == .scatterOutput {
        return layer.inputSlices[sender].isEmpty ? 0 : layer.outputSlices[receiver].count
      }
      return layer.outputSlices[receiver].isEmpty ? 0 : layer.inputSlices[sender].count
    case .backward(let position):
      let layer = layers[position]
      if layer.form == .scatterOutput {
        return layer.inputSlices[receiver].isEmpty ? 0 : layer.outputSlices[sender].count
      }
      return layer.outputSlices[sender].isEmpty ? 0 : layer.inputSlices[receiver].count
    }
  }
}

/// A column range of a row-major matrix that goes out as frames.
struct DensePayload {
  /// First row, first column.
  let source: UnsafePointer<Float>
  /// Rows of the payload.
  let rows: Int
  /// Columns of the payload.
  let columns: Int
  /// Floats from one row to the next.
  let stride: Int

  /// Copies the rows into frames of whole rows, or of parts of one row if a row is too long.
  func frames(_ pool: FramePool) -> [Frame] {
    guard rows > 0, columns > 0 else { return [] }
    let rowsPerFrame = max(1, DenseCut.frameFloats / columns)
    var frames: [Frame] = []
    for first in Swift.stride(from: 0, to: rows, by: rowsPerFrame) {
      let count = min(rowsPerFrame, rows - first)
      for column in Swift.stride(from: 0, to: columns, by: DenseCut.frameFloats) {
        let width = min(DenseCut.frameFloats, columns - column)
        let frame = pool.frame(floats: count * width) { target in
          let start = target.baseAddress.unsafelyUnwrapped
          for row in 0..<count {
            (start + row * width).update(
              from: source + (first + row) * stride + column, count: width)
          }
        }
        frames.append(frame)
      }
    }
    return frames
  }

  /// Walks received frames as the rows of `[rows, columns]`, however they were cut.
  ///
  /// - Parameter body: row, first column, address (any alignment), number of floats.
  static func walk(
    _ frames: [Frame], rows: Int, columns: Int,
    _ body: (_ row: Int, _ column: Int, _ values: UnsafeRawPointer, _ count: Int) -> Void
  ) {
    let size = MemoryLayout<Float>.stride
    let received = frames.reduce(0) { $0 + $1.byteCount }
    precondition(
      received == rows * columns * size && frames.allSatisfy { $0.byteCount % size == 0 },
      "\(received) bytes in \(frames.count) frames, expected \(rows) x \(columns) floats")
    var row = 0
    var column = 0
    for frame in frames {
      guard var address = frame.bytes.baseAddress else { continue }
      var left = frame.byteCount / size
      while left > 0 {
        let count = min(left, columns - column)
        body(row, column, address, count)
        address += count * size
        left -= count
        column += count
        if column == columns {
          column = 0
          row += 1
        }
      }
    }
  }
}
