package import Network
import Tensors

/// The rectangle of one parameter that a node owns, with its gradient and velocity.
///
/// The three arrays are contiguous, row-major `[rows.count, columns.count]`, and belong to the
/// `DenseSlice` that handed this out: valid while it lives, on its thread.
package struct OwnedParameter {
  /// The whole parameter.
  package let entry: ParameterTable.Entry
  /// Rows of the full row-major matrix; of a bias, its elements.
  package let rows: Range<Int>
  /// Columns of the full matrix; `0..<1` of a bias, which is a column vector.
  package let columns: Range<Int>
  /// The weights themselves.
  package let value: UnsafeMutablePointer<Float>
  /// What `computeParameterGradients` writes.
  package let gradient: UnsafeMutablePointer<Float>
  /// The optimizer's; starts as 0.
  package let velocity: UnsafeMutablePointer<Float>
  /// The rows that a step changes; `nil` for all.
  package var active: ActiveRows?

  /// Elements of each of the three arrays.
  package var count: Int { rows.count * columns.count }

  /// Columns of the full matrix.
  package var fullColumns: Int { entry.kind == .bias ? 1 : entry.shape[1] }

  /// Writes what the same elements of the whole tensor start with.
  package func writeInitialValues(seed: UInt64) {
    guard count > 0 else { return }
    if columns.count == fullColumns {
      let range = (rows.lowerBound * fullColumns)..<(rows.upperBound * fullColumns)
      return entry.writeInitialValues(seed: seed, range: range, into: value)
    }
    for (index, row) in rows.enumerated() {
      let start = row * fullColumns
      entry.writeInitialValues(
        seed: seed, range: (start + columns.lowerBound)..<(start + columns.upperBound),
        into: value + index * columns.count)
    }
  }
}
