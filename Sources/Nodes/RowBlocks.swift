import Messages
import Tensors

/// Matrices on their way over the wire: row-major, cut by rows into frames of bounded size.
enum RowBlocks {
  /// Rows of `columns` floats that fit one frame; at least one.
  static func rowsPerFrame(columns: Int) -> Int {
    max(1, Limits.frameBytes / max(columns * 4, 4))
  }

  /// Cuts the rectangle `rows` x `columns` of a matrix with `stride` floats a row into frames.
  static func frames(
    of matrix: UnsafePointer<Float>, stride: Int, rows: Range<Int>, columns: Range<Int>,
    pool: FramePool
  ) -> [Frame] {
    guard !rows.isEmpty, !columns.isEmpty else { return [] }
    let step = rowsPerFrame(columns: columns.count)
    return Swift.stride(from: rows.lowerBound, to: rows.upperBound, by: step).map { first in
      let block = first..<min(first + step, rows.upperBound)
      return pool.frame(floats: block.count * columns.count) { target in
        guard let base = target.baseAddress else { return }
        for (offset, row) in block.enumerated() {
          (base + offset * columns.count).update(
            from: matrix + row * stride + columns.lowerBound, count: columns.count)
        }
      }
    }
  }

  /// Puts frames made by `frames` back into the rectangle of a matrix.
  ///
  /// The caller has checked that the frames hold `rows.count * columns.count` floats in all.
  static func place(
    _ frames: [Frame], into matrix: UnsafeMutablePointer<Float>, stride: Int, rows: Range<Int>,
    columns: Range<Int>
  ) {
    guard !columns.isEmpty else { return }
    var row = rows.lowerBound
    for frame in frames {
      guard let source = frame.floats.baseAddress else { continue }
      for offset in 0..<(frame.floats.count / columns.count) where row < rows.upperBound {
        (matrix + row * stride + columns.lowerBound).update(
          from: source + offset * columns.count, count: columns.count)
        row += 1
      }
    }
  }
}
