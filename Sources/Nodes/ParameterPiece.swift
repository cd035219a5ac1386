import Tensors

/// A piece of a parameter: `frames` have `columns` values of each of `rows`, of which the whole has
/// `width`.
struct ParameterPiece: Sendable {
  let name: String
  let isVelocity: Bool
  let width: Int
  let firstRow: Int
  let columns: Range<Int>
  let frames: [Frame]
}
