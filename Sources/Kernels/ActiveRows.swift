import Tensors

/// The rows of a parameter's piece that a step changes, where these are not all: gradients of the
/// others are 0, and their weights and velocities stay as they are.
package final class ActiveRows {
  private let flags: AlignedBuffer
  /// From 0, of the piece; in no order.
  package private(set) var rows: [Int] = []

  init(count: Int) {
    flags = AlignedBuffer(byteCount: count)
    rows.reserveCapacity(count)
  }

  func insert(_ row: Int) {
    guard flags.bytes[row] == 0 else { return }
    flags.bytes[row] = 1
    rows.append(row)
  }

  /// Forgets all rows, and clears their gradients.
  func clear(_ pieces: OwnedParameter...) {
    for row in rows {
      flags.bytes[row] = 0
      for piece in pieces {
        let width = piece.columns.count
        (piece.gradient + row * width).update(repeating: 0, count: width)
      }
    }
    rows.removeAll(keepingCapacity: true)
  }
}
