package import Kernels
package import Network
import Tensors

/// A rectangle of a parameter that is seen as a row-major matrix: what one node owns or one
/// message carries.
package struct ParameterRegion: Hashable, Sendable {
  package let rows: Range<Int>
  package let columns: Range<Int>
  /// Columns of the whole matrix: element (r, c) is element `r * width + c` of the tensor.
  package let width: Int

  package init(rows: Range<Int>, columns: Range<Int>, width: Int) {
    precondition(columns.lowerBound >= 0 && columns.upperBound <= width, "\(columns) of \(width)")
    self.rows = rows
    self.columns = columns
    self.width = width
  }

  /// Consecutive elements of the tensor: a piece of its only row.
  package init(elements: Range<Int>, of entry: ParameterTable.Entry) {
    self.init(rows: 0..<1, columns: elements, width: entry.shape.count)
  }

  package var count: Int { rows.count * columns.count }

  /// The region as ranges of consecutive elements, each with its place among the region's values.
  package var runs: [(elements: Range<Int>, offset: Int)] {
    if columns.count == width {
      return [(rows.lowerBound * width..<rows.upperBound * width, 0)]
    }
    return rows.enumerated().map { index, row in
      let first = row * width + columns.lowerBound
      return (first..<first + columns.count, index * columns.count)
    }
  }
}

extension OwnedParameter {
  /// The part of the whole parameter that this is.
  package var region: ParameterRegion {
    ParameterRegion(rows: rows, columns: columns, width: fullColumns)
  }
}

/// Sees every gradient as it is about to be applied: for `crosscut verify` and for tests.
///
/// Called on compute threads, one call a parameter piece and step, or sub-batch that steps.
package protocol StepProbe: Sendable {
  /// - Parameters:
  ///   - step: the optimizer step the gradient belongs to.
  ///   - subBatch: where the FC weights step once a sub-batch and this is one of them, which.
  ///   - region: the part of the parameter.
  ///   - values: `region.count` floats, row-major; valid during the call.
  func gradient(
    step: UInt64, subBatch: Int?, of entry: ParameterTable.Entry, region: ParameterRegion,
    values: UnsafePointer<Float>)
}
