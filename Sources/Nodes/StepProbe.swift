package import Network

/// Sees every gradient as it is about to be applied: for `crosscut verify` and for tests.
///
/// Called on compute threads, one call a parameter piece and step.
package protocol StepProbe: Sendable {
  /// - Parameters:
  ///   - step: the optimizer step the gradient belongs to.
  ///   - rows: rows of the parameter as a matrix `[shape[0], rest]`; a bias has one column.
  ///   - columns: columns of that matrix.
  ///   - values: `rows.count * columns.count` floats, row-major; valid during the call.
  func gradient(
    step: UInt64, of entry: ParameterTable.Entry, rows: Range<Int>, columns: Range<Int>,
    values: UnsafePointer<Float>)
}
