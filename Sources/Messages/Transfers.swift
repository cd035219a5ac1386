/// The server asks an FC node for its slices as they are before turn `turn`, or for those that it
/// mirrors: for a checkpoint, or for the model at the end of the run.
package struct Collect: Hashable, Sendable {
  /// Numbers this exchange of slices; never used twice in a run.
  package var transfer: UInt32
  package var turn: UInt64
  /// Whether the neighbour's slices are wanted, which the node mirrors.
  package var mirrored: Bool
  package init(transfer: UInt32, turn: UInt64, mirrored: Bool = false) {
    self.transfer = transfer
    self.turn = turn
    self.mirrored = mirrored
  }
}

/// The server has an FC node take other parameters: those after `steps` optimizer steps, as slices
/// that follow, or the initial ones, which the node draws by itself.
package struct Restore: Hashable, Sendable {
  package var transfer: UInt32
  package var steps: UInt64
  /// No slices follow.
  package var isInitial: Bool
  package init(transfer: UInt32, steps: UInt64, isInitial: Bool) {
    self.transfer = transfer
    self.steps = steps
    self.isInitial = isInitial
  }
}

/// A piece of a parameter on its way to or from the server: of an FC parameter a rectangle of the
/// row-major matrix, of a convolutional one a range of the flattened tensor, as one row.
package struct Slice: Hashable, Sendable {
  /// What of the parameter it is.
  package enum Part: String, Hashable, Sendable, CaseIterable {
    case value
    /// The optimizer's velocity.
    case velocity
  }

  /// The `Collect` it answers, or the `Restore` it belongs to.
  package var transfer: UInt32
  /// Its place among the pieces that this node sends for the transfer, from 0: one that does not
  /// follow the one before it is no use to anybody.
  package var number: Int
  package var part: Part
  package var key: Int
  package var firstRow: Int
  package var rows: Int
  package var firstColumn: Int
  package var columns: Int
  /// Whether this is the last piece this node sends.
  package var isLast: Bool
  package init(
    transfer: UInt32, number: Int, part: Part, key: Int, firstRow: Int, rows: Int,
    firstColumn: Int, columns: Int, isLast: Bool
  ) {
    self.transfer = transfer
    self.number = number
    self.part = part
    self.key = key
    self.firstRow = firstRow
    self.rows = rows
    self.firstColumn = firstColumn
    self.columns = columns
    self.isLast = isLast
  }
}
