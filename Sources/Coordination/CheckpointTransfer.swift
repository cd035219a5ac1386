import Messages

/// A checkpoint whose slices are on their way to the server.
struct CheckpointTransfer: Sendable {
  /// A node's slices, or those it mirrors, which go under a number of their own.
  struct Source: Hashable, Sendable {
    let node: NodeID
    let transfer: UInt32
  }

  let steps: UInt64
  /// When its last piece came; at first, when it was asked for.
  var lastPiece: Microseconds
  /// Whose last piece has not come.
  var missing: Set<Source>
  /// Whether it was asked for or due, and is to be made after the next step if a view comes between.
  var isDue = false
  var pieces: [Source: PieceSequence] = [:]
}
